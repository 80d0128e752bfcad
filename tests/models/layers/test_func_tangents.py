"""Closed-form derivatives of the position-wise parts of every family's layers, against torch.func."""

from __future__ import annotations

import pytest
import torch
from tests.models.conftest import FAMILIES

from flowgauge.models.flow.trace import path_trace
from flowgauge.models.layers.base import Projected
from flowgauge.models.layers.func_tangents import FuncTangents

TOLERANCE = 1e-9


@pytest.mark.parametrize("family", FAMILIES)
def test_closed_forms_equal_torch_func(models, batches, family):
    model = models(family)
    trace = path_trace(model, batches(model, [5, 4]), samples=2, baseline="zero")
    generator = torch.Generator().manual_seed(1)
    draw = lambda *shape: torch.randn(*shape, dtype=torch.float64, generator=generator)  # noqa: E731
    at, size = torch.randint(0, 20, (3, 7), generator=generator), trace.context[0].shape[-1]
    for layer in range(3):
        residual, contexts = trace.skip[layer].flatten(0, 1), trace.context[layer].flatten(0, 1)
        oracle = FuncTangents(model.layers[layer], residual, contexts, trace.rows.positions.flatten())
        t, skip, context, u = draw(3, 7, 16), draw(3, 7, 16), draw(3, 7, 4, size), draw(3, 7, 16)
        grads = Projected(*(draw(3, 7, 4, size) for _ in range(3)))
        rows, inside = slice(5, 15), at.remainder(10)
        for closed, expected, index in (
            (trace.tangents[layer], oracle, at),
            (trace.tangents[layer].cut(rows), oracle.cut(rows), inside),
        ):
            pairs = [
                *zip(closed.project_jvp(index, t), expected.project_jvp(index, t), strict=True),
                (closed.project_vjp(index, grads), expected.project_vjp(index, grads)),
                (closed.finish_jvp(index, skip, context), expected.finish_jvp(index, skip, context)),
                *zip(closed.finish_vjp(index, u), expected.finish_vjp(index, u), strict=True),
            ]
            for found, right in pairs:
                assert torch.allclose(found, right, atol=TOLERANCE, rtol=TOLERANCE)
