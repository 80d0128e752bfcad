"""Closed-form derivatives of the position-wise parts of a layer, against torch.func."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor
from torch.func import jvp, vjp

from flowgauge.models.flow.layer import HeadVectors, Index, Layer, Projected, Vectors, select
from flowgauge.models.flow.trace import path_trace

TOLERANCE = 1e-9


@dataclass(frozen=True, eq=False)
class FuncTangents:
    """Derivatives of the position-wise parts of any layer by torch.func.

    Attributes:
        layer: The layer.
        skip: Its residual at flat rows (R N, D).
        context: Its context vectors at flat rows (R N, A, d).
    """

    layer: Layer
    skip: Tensor
    context: Tensor

    def project_jvp(self, at: Index, tangent: Vectors) -> Projected:
        return Projected(*jvp(lambda h: tuple(self.layer.project(h)), (select(self.skip, at),), (tangent,))[1])

    def project_vjp(self, at: Index, grads: Projected) -> Vectors:
        grad: Tensor = vjp(lambda h: tuple(self.layer.project(h)), select(self.skip, at))[1](tuple(grads))[0]
        return grad

    def finish_jvp(self, at: Index, skip: Vectors, context: HeadVectors) -> Vectors:
        tangent: Tensor = jvp(self.layer.finish, (select(self.skip, at), select(self.context, at)), (skip, context))[1]
        return tangent

    def finish_vjp(self, at: Index, grad: Vectors) -> tuple[Vectors, HeadVectors]:
        skip, context = vjp(self.layer.finish, select(self.skip, at), select(self.context, at))[1](grad)
        return skip, context


@pytest.mark.parametrize("family", ["bert", "roberta", "electra", "distilbert"])
def test_position_wise_closed_forms_equal_torch_func(models, batches, family):
    model = models(family)
    trace = path_trace(model, batches(model, [5, 4]), samples=2)
    generator = torch.Generator().manual_seed(1)
    draw = lambda *shape: torch.randn(*shape, dtype=torch.float64, generator=generator)  # noqa: E731
    at = torch.randint(0, 20, (3, 7), generator=generator)
    for layer in range(3):
        closed, oracle = (
            trace.tangents[layer],
            FuncTangents(model.layers[layer], trace.skip[layer].flatten(0, 1), trace.context[layer].flatten(0, 1)),
        )
        t, skip, context, u = draw(3, 7, 16), draw(3, 7, 16), draw(3, 7, 4, 4), draw(3, 7, 16)
        grads = Projected(draw(3, 7, 4, 4), draw(3, 7, 4, 4), draw(3, 7, 4, 4))
        pairs = [
            *zip(closed.project_jvp(at, t), oracle.project_jvp(at, t), strict=True),
            (closed.project_vjp(at, grads), oracle.project_vjp(at, grads)),
            (closed.finish_jvp(at, skip, context), oracle.finish_jvp(at, skip, context)),
            *zip(closed.finish_vjp(at, u), oracle.finish_vjp(at, u), strict=True),
        ]
        for found, expected in pairs:
            assert torch.allclose(found, expected, atol=TOLERANCE, rtol=TOLERANCE)


def test_feeding_a_line_of_streams_equals_finishing_each(models, batches):
    model = models("bert")
    layer = model.layers[1]
    generator = torch.Generator().manual_seed(2)
    start, step = (torch.randn(2, 5, 16, dtype=torch.float64, generator=generator) for _ in range(2))
    context = torch.randn(2, 5, 4, 4, dtype=torch.float64, generator=generator)
    alpha = torch.tensor([0.0, 0.3, 1.0], dtype=torch.float64)
    skips = (start[:, None] + alpha[:, None, None] * step[:, None]).flatten(0, 1)
    many = context.repeat_interleave(3, 0)
    each = layer.finish(skips - layer.join(torch.zeros_like(skips), many), many)
    assert torch.allclose(layer.feed(start, step, alpha), each, atol=1e-12)


def test_the_gradient_of_context_vectors_is_the_transpose_of_the_output_projection(models):
    layer = models("bert").layers[0]
    generator = torch.Generator().manual_seed(3)
    grad, skip = (torch.randn(2, 16, dtype=torch.float64, generator=generator) for _ in range(2))
    context = torch.randn(2, 4, 4, dtype=torch.float64, generator=generator)
    change = layer.join(skip, context) - layer.join(skip, torch.zeros_like(context))
    assert torch.allclose((layer.join_vjp(grad) * context).sum(), (grad * change).sum(), atol=1e-12)
