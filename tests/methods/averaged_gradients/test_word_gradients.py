"""Products of gradients with directions against single gradients, and how they are split."""

from __future__ import annotations

import pytest
import torch
from tests.methods.averaged_gradients.conftest import FAMILIES, gradient_of, words_of

from flowgauge.methods.averaged_gradients.word_gradients import summed_products
from flowgauge.models.inputs.encode import encode
from flowgauge.models.memory import within_memory
from flowgauge.tasks.toy_counting import CountingTask


@pytest.mark.parametrize("budget", [2**32, 1])
@pytest.mark.parametrize("family", FAMILIES)
def test_sums_are_those_of_single_gradients(models, batches, family, budget):
    model = models(family)
    batch, row = batches(model, [6, 4]), torch.tensor([0, 1, 1, 0, 1])
    generator, asked = torch.Generator().manual_seed(1), []
    at, along = (torch.randn(5, 6, 16, generator=generator, dtype=torch.float64) for _ in range(2))

    def points(part):
        asked.append(part.tolist())
        return at[part], along[part]

    with within_memory(budget):
        sums = summed_products(model, batch, row, points)
    assert asked == ([[0], [1], [2], [3], [4]] if budget == 1 else [[0, 1, 2, 3, 4]])
    for instance, n in enumerate(batch.lengths):
        expected = sum(
            (gradient_of(model, batch, instance, at[number, :n]) * along[number, :n]).sum(-1)
            for number in (row == instance).nonzero()[:, 0].tolist()
        )
        assert torch.allclose(sums[instance, :n], expected, rtol=1e-9, atol=1e-11) and expected.abs().max() > 1e-3
        assert words_of(model, batch, instance).shape == (n, 16)


def test_positions_that_cannot_be_masked_get_nothing(counting):
    batch = encode(counting, CountingTask().instances("test", 3, 0))
    x = counting.words(batch)
    sums = summed_products(counting, batch, torch.arange(3), lambda part: (x[part], torch.ones_like(x[part])))
    assert not sums[:, :2].any() and sums[:, 2].all()
