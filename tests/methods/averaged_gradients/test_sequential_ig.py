"""Sequential integrated gradients against a literal loop, and their identity with leave-one-out."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.methods.averaged_gradients.conftest import FAMILIES, assert_same, gradient_of, words_of

from flowgauge.core.errors import UsageError
from flowgauge.methods.averaged_gradients.sequential_ig import SequentialIntegratedGradients
from flowgauge.methods.perturbation.leave_one_out import LeaveOneOut
from flowgauge.models.baseline import baseline_words
from flowgauge.models.flow.quadrature import quadrature


@pytest.mark.parametrize("rule", ["midpoint", "trapezoid", "gauss-legendre"])
@pytest.mark.parametrize("family", FAMILIES)
def test_it_is_the_literal_loop_over_words_and_nodes(models, batches, family, rule):
    model = models(family)
    batch = batches(model, [6, 4])
    x_b, numbers, expected = baseline_words(model, batch, "mask"), quadrature(rule, 3), []
    for row, n in enumerate(batch.lengths):
        x, start, scores = words_of(model, batch, row), words_of(model, batch, row, x_b), torch.zeros(n, dtype=torch.float64)
        for j in range(n):
            for node, weight in zip(numbers.nodes.tolist(), numbers.weights.tolist(), strict=True):
                moved = x.clone()
                moved[j] = start[j] + node * (x[j] - start[j])
                scores[j] += weight * gradient_of(model, batch, row, moved)[j] @ (x[j] - start[j])
        expected.append(scores)
    assert_same(SequentialIntegratedGradients(rule, 3).explain(model, batch), expected)


@pytest.mark.parametrize("head", ["masked", "span"])
@pytest.mark.parametrize("baseline", ["mask", "zero", "mean-words"])
def test_it_is_leave_one_out_up_to_the_quadrature_error(models, batches, head, baseline):
    model = models("bert", head)
    batch = batches(model, [6, 4])
    assert_same(
        SequentialIntegratedGradients("gauss-legendre", 300, baseline).explain(model, batch),
        [one.tokens for one in LeaveOneOut(baseline).explain(model, batch)],
        1e-6,
    )


@pytest.mark.parametrize("family", ["gpt2", "llama"])
def test_so_it_is_on_decoders(models, batches, family):
    model = models(family)
    model.tokenizer.eos_token_id = 3  # the padding of Llama's family has zeros before any training
    batch = batches(model, [6, 4])
    left_out = [one.tokens for one in LeaveOneOut("pad").explain(model, batch)]
    assert_same(SequentialIntegratedGradients("gauss-legendre", 300, "pad").explain(model, batch), left_out, 1e-6)


def test_the_error_that_it_reports_is_its_largest_difference_from_leave_one_out(model, batches):
    batch = batches(model, [6, 4])
    coarse, left_out = SequentialIntegratedGradients("midpoint", 2).explain(model, batch), LeaveOneOut().explain(model, batch)
    for one, other in zip(coarse, left_out, strict=True):
        assert one.values["word_completeness_error"] == pytest.approx(np.abs(one.tokens - other.tokens).max(), rel=1e-9)
        assert one.values["word_completeness_error"] > 1e-3


@pytest.mark.parametrize(("settings", "said"), [({"samples": 0}, "needs 1 to"), ({"rule": "paper"}, "rule must be")])
def test_refused_settings(settings, said):
    with pytest.raises(UsageError, match=said):
        SequentialIntegratedGradients(**settings)
