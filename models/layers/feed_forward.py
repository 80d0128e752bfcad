"""The feed-forward block, plain or gated, and its derivatives at the values of one forward pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import linear

from .base import Index, Tape, Vectors, select
from .derivative_rules import activated
from .linear import Linear

Inner = Float[Tensor, "... inner"]


@dataclass(frozen=True, eq=False)
class FeedForward:
    """outer(act(inner x)), or outer(act(inner x) * gate x) (GLU variants: Shazeer 2020).

    Attributes:
        inner: To the inner units, before the activation function.
        act: The activation function.
        outer: Back to the width of the model.
        gate: To the factors of the activated units, or None.
    """

    inner: Linear
    act: Callable[[Tensor], Tensor]
    outer: Linear
    gate: Linear | None = None

    def __call__(self, x: Vectors, tape: Tape | None = None) -> Vectors:
        inner = self.inner(x)
        if tape is not None:
            tape["inner"] = inner
        return self.outward(inner, None if self.gate is None else self.gate(x), tape)

    def outward(self, inner: Inner, gate: Inner | None, tape: Tape | None = None) -> Vectors:
        """The block from its inner units and its gate on."""
        active = activated(inner, self.act)
        if gate is None:
            return self.outer(active)
        if tape is not None:
            tape["gate"] = gate
        return self.outer(active * gate)

    def slopes(self, tape: Tape) -> FeedForwardSlopes:
        """Its derivatives at the intermediates of a forward pass."""
        inner = tape["inner"].detach().flatten(0, -2).requires_grad_(True)
        with torch.enable_grad():
            active = self.act(inner)
            (slope,) = torch.autograd.grad(active.sum(), inner)
        if self.gate is None:
            return FeedForwardSlopes(self, slope, None)
        return FeedForwardSlopes(self, slope.mul_(tape["gate"].detach().flatten(0, -2)), active.detach())


class FeedForwardSlopes(NamedTuple):
    """A feed-forward block at the values of one forward pass.

    Attributes:
        block: The block.
        slope: Derivative of each gated inner unit by that unit before the activation function (rows, inner).
        active: Derivative of each gated inner unit by its gate, or None (rows, inner).
    """

    block: FeedForward
    slope: Tensor
    active: Tensor | None

    def cut(self, rows: slice) -> FeedForwardSlopes:
        """The derivatives at some of the rows."""
        return self._replace(slope=self.slope[rows], active=None if self.active is None else self.active[rows])

    def jvp(self, at: Index, x: Tensor) -> Tensor:
        """Tangents of the outputs at rows from those of the inputs."""
        inner = linear(x, self.block.inner.weight).mul_(select(self.slope, at))
        if self.active is not None:
            assert self.block.gate is not None
            inner.addcmul_(linear(x, self.block.gate.weight), select(self.active, at))
        return linear(inner, self.block.outer.weight)

    def vjp(self, at: Index, grad: Tensor) -> Tensor:
        """Gradients of the inputs at rows from those of the outputs."""
        inner = grad @ self.block.outer.weight
        if self.active is None:
            return inner.mul_(select(self.slope, at)) @ self.block.inner.weight
        assert self.block.gate is not None
        through_gate = (inner * select(self.active, at)) @ self.block.gate.weight
        return through_gate.add_(inner.mul_(select(self.slope, at)) @ self.block.inner.weight)
