"""Value zeroing against runs of the model in which one position's values are zeroed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from flowgauge.methods.decomposition.value_zeroing import ValueZeroing
from flowgauge.models.batch import Rows


def zeroed(model, single, layer, position):
    """hidden[layer + 1] with the values of one position at 0 in one layer, by an edit of the model's own loop."""

    def zero(index, value):
        value = value.clone()
        if index == layer:
            value[:, position] = 0
        return value

    start = model.embed(model.words(single), single)
    (trace,) = model.run(Rows(single, start, edits={"value": zero}), until=layer + 1)
    return trace.site("hidden", layer + 1)[0]


@pytest.mark.parametrize("family", ["bert", "gpt2", "llama", "modernbert"])
def test_edges_are_cosine_distances_of_runs_with_zeroed_values(models, batches, single, family):
    model = models(family)
    batch = batches(model, [6, 4])
    for row, found in enumerate(ValueZeroing().explain(model, batch)):
        one, n = single(batch, row), batch.lengths[row]
        product, distances = np.eye(n), np.zeros((n, n))
        for layer in range(3):
            clean = zeroed(model, one, layer, slice(0, 0))
            for j in range(n):
                distances[:, j] = 1 - torch.cosine_similarity(clean, zeroed(model, one, layer, j), dim=-1).numpy()
            expected = distances / distances.sum(1, keepdims=True)
            assert found.edges[layer, 0] == pytest.approx(expected, abs=1e-10)
            assert expected.max() > 0.2 > expected.min()
            product = expected @ product
        target = int(batch.target[row])
        assert found.tokens == pytest.approx(product[target], abs=1e-10)
        assert found.tokens.sum() == pytest.approx(1, abs=1e-12)
        assert found.flows.sum(0) == pytest.approx(found.nodes, abs=1e-12)


def test_later_positions_have_no_share(models, batches):
    model = models("gpt2")
    batch = replace(batches(model, [6, 5]), target=torch.tensor([2, 2]), cache={})
    for found in ValueZeroing().explain(model, batch):
        assert (
            found.edges is not None
            and not np.triu(found.edges, 1).any()
            and not found.tokens[3:].any()
            and found.tokens[:3].min() > 0
        )
