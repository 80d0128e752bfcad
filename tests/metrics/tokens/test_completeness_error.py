"""Completeness of token scores and of edges, layer by layer."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.metrics.conftest import aggregate

from flowgauge.core.errors import NotApplicable
from flowgauge.methods.explanation import Explanation
from flowgauge.metrics.tokens.completeness_error import CompletenessError
from flowgauge.models.flow.trace import path_trace
from flowgauge.models.outputs import value


def test_completeness(make, model, value_of):
    batch = make.batch(model, [4, 4])
    with torch.no_grad():
        q = value(model.outputs(batch), batch).tolist()
    first = Explanation(tokens=np.ones(4), values={"q_baseline": q[0] - 3.5})
    second = Explanation(tokens=np.ones(4), values={"q_baseline": q[1]})
    scores = CompletenessError().score(model, [make.by_hand(model, batch, [first, second])], None)
    assert value_of(scores, "absolute") == pytest.approx((0.5 + 4) / 2)
    assert aggregate(scores, "relative").value == pytest.approx(0.5 / 3.5)
    assert aggregate(scores, "relative").reason == "q is the same at the input and at the baseline."
    with pytest.raises(NotApplicable, match="reports no q_baseline"):
        CompletenessError().score(model, [make.by_hand(model, batch, [Explanation(tokens=np.ones(4))] * 2)], None)


def test_completeness_layer_by_layer(make, model, value_of):
    batch = make.batch(model, [3, 3])
    edges = np.zeros((3, 2, 3, 3))
    edges[0, 0, 0, 1], edges[0, 1, 1, 1], edges[2, 0, 0, 0] = 0.5, -0.2, 0.4
    first = Explanation(edges=edges, values={"change/1": 0.2, "change/2": 0.0, "change/3": 0.6})
    still = Explanation(edges=0 * edges, values={"change/1": 0.0, "change/2": 0.0, "change/3": 0.0})
    scores = CompletenessError().score(model, [make.by_hand(model, batch, [first, still])], None)
    name = batch.names[0]
    assert [value_of(scores, f"layer/{layer}/absolute", name) for layer in (1, 2, 3)] == pytest.approx([0.1, 0, 0.2])
    assert value_of(scores, "layers/absolute", name) == pytest.approx(0.2)
    assert value_of(scores, "layers/relative", name) == pytest.approx(0.3 / 0.8)
    assert aggregate(scores, "layers/relative").undefined == 1
    assert np.isnan(aggregate(scores, "absolute").value) and "see layers/relative" in aggregate(scores, "absolute").reason


def test_completeness_of_attention_attribution_falls_with_its_steps(make, model, value_of):
    batch = make.batch(model, [5, 4])
    found = []
    for steps in (5, 40):
        shown = make.by_method(model, batch, f"attattr:steps={steps}")
        scores = CompletenessError().score(model, [shown], None)
        for name, one in zip(batch.names, shown.gold, strict=True):
            assert value_of(scores, "layers/absolute", name) == pytest.approx(one.values["completeness_error"], abs=1e-12)
        found.append(value_of(scores, "layers/relative"))
    assert 0 < found[1] < 0.25 * found[0]


def test_completeness_of_influence_patterns_is_the_traces(model, make, value_of):
    batch = make.batch(model, [5, 4])
    shown = make.by_method(model, batch, "influence-patterns:samples=3")
    trace = path_trace(model, batch, samples=3)
    expected = (trace.g.sum(1) - (trace.q - trace.q_baseline)).abs().mean().item()
    assert value_of(CompletenessError().score(model, [shown], None), "absolute") == pytest.approx(expected, abs=1e-12)
