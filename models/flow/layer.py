"""The position-wise parts of a layer and their derivatives at single positions.

`project` and `finish` work position by position, so a tangent (or a gradient) that lives at one position stays there. `Tangents`
differentiates both at any set of positions from intermediates that the forward pass has already computed.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from torch.nn.functional import linear

Index = Int[Tensor, "..."] | None
"""Flat row indices (row * N + position) of any shape; None: all rows in order, without a copy."""
Vectors = Float[Tensor, "... hidden"]
HeadVectors = Float[Tensor, "... heads size"]
Mask = Bool[Tensor, "rows tokens"] | None
Tape = dict[str, Tensor]


class Projected(NamedTuple):
    """Query, key and value vectors (or their tangents or gradients), each (*rows, A, d)."""

    query: Tensor
    key: Tensor
    value: Tensor


@runtime_checkable
class Tangents(Protocol):
    """Derivatives of a layer's position-wise parts at flat rows `at`: tangents forwards (jvp), gradients backwards (vjp)."""

    def project_jvp(self, at: Index, tangent: Vectors) -> Projected: ...
    def project_vjp(self, at: Index, grads: Projected) -> Vectors: ...
    def finish_jvp(self, at: Index, skip: Vectors, context: HeadVectors) -> Vectors: ...
    def finish_vjp(self, at: Index, grad: Vectors) -> tuple[Vectors, HeadVectors]: ...
    def cut(self, rows: slice) -> Tangents: ...


@runtime_checkable
class Layer(Protocol):
    """The position-wise parts of a transformer layer."""

    @property
    def scale(self) -> float:
        """Factor of the attention scores."""
        ...

    def project(self, hidden: Vectors) -> Projected:
        """Query, key and value vectors of each position."""
        ...

    def attend_once(self, asking: Vectors, hidden: Vectors, mask: Mask) -> HeadVectors:
        """Context vectors (R, 1, A, d) of one position of each row over all real positions; equal to `project` and attention."""
        ...

    def join(self, skip: Vectors, context: HeadVectors) -> Vectors:
        """The residual stream after attention: the residual plus the output projection of the context vectors; linear."""
        ...

    def join_vjp(self, grad: Vectors) -> HeadVectors:
        """The gradient of the context vectors from that of the joined stream."""
        ...

    def feed(self, start: Vectors, step: Vectors, alpha: Float[Tensor, " steps"]) -> Vectors:
        """The next hidden states (R * steps, N, D) from the joined streams start + alpha step, at every alpha."""
        ...

    def finish(self, skip: Vectors, context: HeadVectors, tape: Tape | None = None) -> Vectors:
        """The next hidden state from the residual and the heads' context vectors; notes intermediates on the tape."""
        ...

    def tangents(self, skip: Vectors, context: HeadVectors, tape: Tape) -> Tangents:
        """Its derivatives at the values of one forward pass."""
        ...


def select(rows: Float[Tensor, "rows *shape"], at: Index) -> Tensor:
    """The rows with the indices `at`, in the shape of `at`; all rows if `at` is None.

    Args:
        rows: Flat rows, one for each row and position.
        at: Indices of any shape, or None.
    """
    if at is None:
        return rows
    return rows.index_select(0, at.reshape(-1)).unflatten(0, at.shape)


@dataclass(frozen=True, eq=False)
class PostNorm:
    """A layer that normalises after each residual (BERT, RoBERTa, DistilBERT, ELECTRA), made of the model's own submodules.

    a = norm1(output(ctx) + skip);    h' = norm2(outer(act(inner(a))) + a)
    """

    query: nn.Linear
    key: nn.Linear
    value: nn.Linear
    output: nn.Linear
    norm1: nn.LayerNorm
    inner: nn.Linear
    act: Callable[[Tensor], Tensor]
    outer: nn.Linear
    norm2: nn.LayerNorm
    heads: int
    scale: float

    def project(self, hidden: Vectors) -> Projected:
        """Query, key and value vectors of each position."""
        return Projected(*(m(hidden).unflatten(-1, (self.heads, -1)) for m in (self.query, self.key, self.value)))

    def attend_once(self, asking: Vectors, hidden: Vectors, mask: Mask) -> HeadVectors:
        """Context vectors of one position of each row, without keys and values of the others.

        q_a . k_j = (q_a W_k) . h_j up to a constant over j, and sum_j P_j v_j = W_v sum_j P_j h_j + b_v: about N times less work.
        """
        query = self.query(asking[..., 0, :]).unflatten(-1, (self.heads, -1))
        key, value = (m.weight.unflatten(0, (self.heads, -1)) for m in (self.key, self.value))
        scores = torch.einsum("rah,rnh->ran", torch.einsum("rad,adh->rah", query, key), hidden) * self.scale
        if mask is not None:
            scores = scores.masked_fill(~mask[:, None], -torch.inf)
        mixed = torch.einsum("ran,rnh->rah", scores.softmax(-1), hidden)
        context = torch.einsum("rah,adh->rad", mixed, value)
        return (context + self.value.bias.unflatten(0, (self.heads, -1)))[:, None]

    def join(self, skip: Vectors, context: HeadVectors) -> Vectors:
        """Output projection and residual."""
        joined: Tensor = self.output(context.flatten(-2)) + skip
        return joined

    def join_vjp(self, grad: Vectors) -> HeadVectors:
        """Back through the output projection."""
        return (grad @ self.output.weight).unflatten(-1, (self.heads, -1))

    def feed(self, start: Vectors, step: Vectors, alpha: Float[Tensor, " steps"]) -> Vectors:
        """Norms, feed-forward block and its residual, at every point start + alpha step.

        norm1 centres and divides by a deviation, so that inner(norm1(start + alpha step)) is (a + alpha b) / deviation + c with
        a, b and c the same for every alpha: half of the block's matrix products are done once a row, not once a point.
        """
        line = lambda x, y: (x[:, None] + alpha[:, None, None] * y[:, None]).flatten(0, 1)  # noqa: E731
        ends = [x - x.mean(-1, keepdim=True) for x in (start, step)]
        points, weighted = line(*ends), [x * self.norm1.weight for x in ends]
        rsd = torch.rsqrt(points.square().mean(-1, keepdim=True) + self.norm1.eps)
        inner = line(*(linear(x, self.inner.weight) for x in weighted)) * rsd + self.inner(self.norm1.bias)
        return self.norm2(self.outer(self.act(inner)) + torch.addcmul(self.norm1.bias, line(*weighted), rsd))

    def finish(self, skip: Vectors, context: HeadVectors, tape: Tape | None = None) -> Vectors:
        """Output projection, residuals, norms and feed-forward block."""
        before1 = self.join(skip, context)
        middle = self.norm1(before1)
        inner = self.inner(middle)
        before2 = self.outer(self.act(inner)) + middle
        if tape is not None:
            tape.update(before1=before1, inner=inner, before2=before2)
        return self.norm2(before2)

    def tangents(self, skip: Vectors, context: HeadVectors, tape: Tape) -> PostNormTangents:
        """Closed forms from the tape."""
        return PostNormTangents.of(self, tape)


class Norm(NamedTuple):
    """A LayerNorm at the values of one forward pass, for its derivatives.

    Attributes:
        unit: The normalised input, before the weight.
        rsd: One over the standard deviation.
        weight: The module's weight.
    """

    unit: Tensor
    rsd: Tensor
    weight: Tensor

    @classmethod
    def of(cls, module: nn.LayerNorm, before: Tensor) -> Norm:
        before = before.flatten(0, -2)
        centred = before - before.mean(-1, keepdim=True)
        rsd = torch.rsqrt(centred.square().mean(-1, keepdim=True) + module.eps)
        return cls(centred.mul_(rsd), rsd, module.weight)

    def cut(self, rows: slice) -> Norm:
        return Norm(self.unit[rows], self.rsd[rows], self.weight)

    def _through(self, at: Index, x: Tensor) -> Tensor:
        unit = select(self.unit, at)
        x = x - x.mean(-1, keepdim=True)
        return x.addcmul_(unit, (unit * x).mean(-1, keepdim=True), value=-1)

    def jvp(self, at: Index, x: Tensor) -> Tensor:
        return self._through(at, x).mul_(select(self.rsd, at)).mul_(self.weight)

    def vjp(self, at: Index, x: Tensor) -> Tensor:
        return self._through(at, x * self.weight).mul_(select(self.rsd, at))


@dataclass(frozen=True, eq=False)
class PostNormTangents:
    """Derivatives of a `PostNorm` layer in closed form, from the local derivative of every nonlinearity.

    Attributes:
        layer: The layer.
        slope: Derivative of the activation function at each inner unit.
        norm1: The norm after attention.
        norm2: The norm after the feed-forward block.
    """

    layer: PostNorm
    slope: Tensor
    norm1: Norm
    norm2: Norm

    @classmethod
    def of(cls, layer: PostNorm, tape: Tape) -> PostNormTangents:
        """The derivatives at the intermediates of a forward pass."""
        inner = tape["inner"].detach().flatten(0, -2).requires_grad_(True)
        with torch.enable_grad():
            (slope,) = torch.autograd.grad(layer.act(inner).sum(), inner)
        with torch.no_grad():
            norm1 = Norm.of(layer.norm1, tape["before1"].detach())
            norm2 = Norm.of(layer.norm2, tape["before2"].detach())
        return cls(layer, slope, norm1, norm2)

    def cut(self, rows: slice) -> PostNormTangents:
        """The derivatives at some of the rows."""
        return PostNormTangents(self.layer, self.slope[rows], self.norm1.cut(rows), self.norm2.cut(rows))

    def project_jvp(self, at: Index, tangent: Vectors) -> Projected:
        y = self.layer
        return Projected(*(linear(tangent, m.weight).unflatten(-1, (y.heads, -1)) for m in (y.query, y.key, y.value)))

    def project_vjp(self, at: Index, grads: Projected) -> Vectors:
        y = self.layer
        total = grads.query.flatten(-2) @ y.query.weight
        return total + grads.key.flatten(-2) @ y.key.weight + grads.value.flatten(-2) @ y.value.weight

    def finish_jvp(self, at: Index, skip: Vectors, context: HeadVectors) -> Vectors:
        y = self.layer
        middle = self.norm1.jvp(at, linear(context.flatten(-2), y.output.weight).add_(skip))
        inner = linear(middle, y.inner.weight).mul_(select(self.slope, at))
        return self.norm2.jvp(at, linear(inner, y.outer.weight).add_(middle))

    def finish_vjp(self, at: Index, grad: Vectors) -> tuple[Vectors, HeadVectors]:
        y = self.layer
        after = self.norm2.vjp(at, grad)
        inner = (after @ y.outer.weight).mul_(select(self.slope, at))
        skip = self.norm1.vjp(at, (inner @ y.inner.weight).add_(after))
        return skip, y.join_vjp(skip)
