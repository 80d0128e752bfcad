"""Internal influence against gradients of torch."""

from __future__ import annotations

import pytest

from flowgauge.methods.gradients.internal_influence import InternalInfluence
from flowgauge.models.flow.trace import path_trace


def test_internal_influence_is_the_mean_gradient(model, batch):
    trace = path_trace(model, batch)
    found = InternalInfluence().explain(model, batch)
    expected = trace.grad_hidden[2].unflatten(0, (3, 50)).mean(1).sum(-1)
    assert found[1].nodes[2] == pytest.approx(expected[1, :5].numpy())
    assert found[1].nodes[3][[0, 1, 3, 4]].tolist() == [0, 0, 0, 0]  # q reads the target only
