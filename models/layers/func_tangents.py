"""Derivatives of the position-wise parts of any layer by torch.func: what a new kind of layer starts with; the tests' oracle."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.func import jvp, vjp

from .base import HeadVectors, Index, Layer, Projected, Vectors, select


@dataclass(frozen=True, eq=False)
class FuncTangents:
    """Derivatives of `project` and `finish` by automatic differentiation at every call: right for any layer, and slow.

    Attributes:
        layer: The layer.
        skip: Its residual at flat rows (R N, D).
        context: Its context vectors at flat rows (R N, A, d).
        positions: Of the flat rows (R N,).
    """

    layer: Layer
    skip: Tensor
    context: Tensor
    positions: Tensor

    def cut(self, rows: slice) -> FuncTangents:
        """The derivatives at some of the rows."""
        return FuncTangents(self.layer, self.skip[rows], self.context[rows], self.positions[rows])

    def _project(self, hidden: Tensor, at: Index) -> tuple[Tensor, Tensor, Tensor]:
        query, key, value = self.layer.project(hidden, select(self.positions, at))
        return query, self.layer.attention.shared(key), self.layer.attention.shared(value)

    def project_jvp(self, at: Index, tangent: Vectors) -> Projected:
        return Projected(*jvp(lambda h: self._project(h, at), (select(self.skip, at),), (tangent,))[1])

    def project_vjp(self, at: Index, grads: Projected) -> Vectors:
        grad: Tensor = vjp(lambda h: self._project(h, at), select(self.skip, at))[1](tuple(grads))[0]
        return grad

    def finish_jvp(self, at: Index, skip: Vectors, context: HeadVectors) -> Vectors:
        tangent: Tensor = jvp(self.layer.finish, (select(self.skip, at), select(self.context, at)), (skip, context))[1]
        return tangent

    def finish_vjp(self, at: Index, grad: Vectors) -> tuple[Vectors, HeadVectors]:
        skip, context = vjp(self.layer.finish, select(self.skip, at), select(self.context, at))[1](grad)
        return skip, context
