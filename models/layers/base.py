"""What a layer is to the loop over layers and to the chain rule: the protocols `Layer` and `Tangents`.

`project` and `finish` work position by position, so a tangent (or a gradient) that lives at one position stays there. `Tangents`
differentiates both at any set of positions from intermediates that the forward pass has already computed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor

if TYPE_CHECKING:
    from .feed_forward import FeedForward
    from .self_attention import SelfAttention

Index = Int[Tensor, "..."] | None
"""Flat row indices (row * N + position) of any shape; None: all rows in order, without a copy."""
Vectors = Float[Tensor, "... hidden"]
HeadVectors = Float[Tensor, "... heads size"]
Positions = Int[Tensor, "..."]
"""The position of each vector in its sentence, counted over real tokens from 0; on the axes that vectors have before the last."""
Tape = dict[str, Tensor]


class Projected(NamedTuple):
    """Query vectors (*rows, A, d), key and value vectors (*rows, K, d) of the K key heads; or their tangents or gradients."""

    query: Tensor
    key: Tensor
    value: Tensor


@runtime_checkable
class Tangents(Protocol):
    """Derivatives of a layer's position-wise parts at flat rows `at`: tangents forwards (jvp), gradients backwards (vjp).

    Key and value vectors are those that each query head reads, (*rows, A, d), also where several query heads share one.
    """

    def project_jvp(self, at: Index, tangent: Vectors) -> Projected: ...
    def project_vjp(self, at: Index, grads: Projected) -> Vectors: ...
    def finish_jvp(self, at: Index, skip: Vectors, context: HeadVectors) -> Vectors: ...
    def finish_vjp(self, at: Index, grad: Vectors) -> tuple[Vectors, HeadVectors]: ...
    def cut(self, rows: slice) -> Tangents: ...


@runtime_checkable
class Layer(Protocol):
    """The parts of a transformer layer: before attention (`project`), the rule of attention, and after it (`finish`)."""

    @property
    def attention(self) -> SelfAttention:
        """Its self-attention."""
        ...

    @property
    def ff(self) -> FeedForward:
        """Its feed-forward block."""
        ...

    def normed(self, hidden: Vectors) -> Vectors:
        """What the query, key and value projections read of the hidden states."""
        ...

    def project(self, hidden: Vectors, positions: Positions) -> Projected:
        """Query, key and value vectors of each position."""
        ...

    @property
    def parallel(self) -> bool:
        """Whether the feed-forward block reads the residual before attention."""
        ...

    def merged(self, skip: Vectors, attended: Vectors) -> Vectors:
        """The residual after attention, from the one before it and the attention's output."""
        ...

    def fed(self, stream: Vectors, tape: Tape | None = None) -> Vectors:
        """The feed-forward block's output, from the residual that it reads: after attention, or before it where `parallel`."""
        ...

    def left(self, middle: Vectors, fed: Vectors) -> Vectors:
        """The next hidden states, from the residual after attention and the feed-forward block's output."""
        ...

    def feed(self, skip: Vectors, start: Vectors, step: Vectors, alpha: Float[Tensor, " steps"]) -> Vectors:
        """The next hidden states (R * steps, N, D) from the residual and the attention's output start + alpha step."""
        ...

    def finish(self, skip: Vectors, context: HeadVectors, tape: Tape | None = None) -> Vectors:
        """The next hidden state from the residual and the heads' context vectors; notes intermediates on the tape."""
        ...

    def tangents(self, skip: Vectors, context: HeadVectors, positions: Positions, tape: Tape) -> Tangents:
        """Its derivatives at the values of one forward pass."""
        ...


def select(rows: Float[Tensor, "rows *shape"] | Int[Tensor, "rows *shape"], at: Index) -> Tensor:
    """The rows with the indices `at`, in the shape of `at`; all rows if `at` is None.

    Args:
        rows: Flat rows, one for each row and position.
        at: Indices of any shape, or None.
    """
    if at is None:
        return rows
    return rows.index_select(0, at.reshape(-1)).unflatten(0, at.shape)
