"""AttCAT against its sums written out, with gradients of models that start at each layer."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from flowgauge.methods.attention.attention_graph import attention_maps
from flowgauge.methods.gradients.attcat import AttCAT
from flowgauge.models.interventions.states import clean_states, outputs_from
from flowgauge.models.memory import within_memory
from flowgauge.models.outputs import value


def cat(model, one):
    """<h, dq/dh> (L + 1, n) of a batch of one instance, each layer by a run that starts there."""
    rows = []
    for depth, state in enumerate(clean_states(model, one)[1:], start=1):
        state = state.detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad(value(outputs_from(model, one, depth, state), one).sum(), state)
        rows.append((state * gradient)[0].sum(-1).detach().numpy())
    return np.stack(rows)


@pytest.mark.parametrize("family", ["bert", "modernbert", "gpt2", "llama"])
@pytest.mark.parametrize("head", ["", "label", "span"])
def test_it_is_the_sum_of_the_paper(models, batches, single, family, head):
    model = models(family, head)
    batch = batches(model, [6, 4])
    for row, found in enumerate(AttCAT().explain(model, batch)):
        one = single(batch, row)
        expected, n = cat(model, one), batch.lengths[row]
        expected[-1] = 0
        for layer, weights in enumerate(attention_maps(model, one)):
            for i in range(n):
                expected[layer, i] *= sum(float(weights[0, h, k, i]) for h in range(model.n_heads) for k in range(n))
        expected /= model.n_heads * n
        scale = abs(expected).max()
        np.testing.assert_allclose(found.nodes, expected, rtol=1e-9, atol=1e-11 * scale)
        np.testing.assert_allclose(found.tokens, expected.sum(0), rtol=1e-9, atol=1e-11 * scale)


def test_where_attention_is_uniform_it_is_the_mean_of_gradient_times_state(models, batches, single):
    model = models()
    with torch.no_grad():
        for layer in model.layers:
            layer.attention.query.weight.zero_()
            layer.attention.query.bias.zero_()
    batch = batches(model, [6, 4])
    for row, found in enumerate(AttCAT().explain(model, batch)):
        expected = cat(model, single(batch, row))[:-1].sum(0) / batch.lengths[row]
        assert abs(expected).max() > 1e-3
        np.testing.assert_allclose(found.tokens, expected, rtol=1e-9, atol=1e-12)


def test_memory_for_one_row_at_once_changes_nothing(model, batch):
    whole = AttCAT().explain(model, batch)
    with within_memory(1):
        split = AttCAT().explain(model, batch)
    for one, other in zip(whole, split, strict=True):
        np.testing.assert_allclose(one.nodes, other.nodes, rtol=1e-9, atol=1e-13)
