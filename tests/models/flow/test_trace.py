"""Path traces: completeness, and reuse of a cached trace."""

from __future__ import annotations

import torch

from flowgauge.models.flow.trace import path_trace


def test_completeness_error_falls_with_samples_and_is_stored(model, batch):
    errors = [path_trace(model, batch, samples=s).completeness for s in (4, 16, 64)]
    assert (errors[1] < errors[0]).all() and (errors[2] < errors[1] / 8).all()
    trace = path_trace(model, batch, samples=64)
    assert torch.allclose(trace.g.sum(1), trace.q - trace.q_baseline, atol=5e-4)
    assert torch.equal(trace.completeness, (trace.g.sum(1) - (trace.q - trace.q_baseline)).abs())
    assert trace.g[:, 2].abs().max() == 0  # [MASK] is its own baseline


def test_a_reused_trace_is_the_same_object_and_its_cost_is_charged(model, batch):
    first = path_trace(model, batch, samples=3)
    assert path_trace(model, batch, samples=3) is first
    assert batch.cache["charges"] == [first.work] and first.work.seconds > 0
    assert path_trace(model, batch, samples=4) is not first
