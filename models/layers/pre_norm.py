"""Layers that normalise before each block and leave the residual stream as it is: decoders and newer encoders."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import linear

from . import norms
from .base import HeadVectors, Index, Positions, Projected, Tape, Vectors
from .feed_forward import FeedForward, FeedForwardSlopes
from .norms import Norm, NormSlopes
from .self_attention import SelfAttention, SelfAttentionSlopes


@dataclass(frozen=True, eq=False)
class PreNorm:
    """A layer that normalises before each block (Radford et al. 2019), made of the model's own submodules.

    a = skip + post1(output(ctx));    h' = a + post2(ff(norm2(a))),    where queries, keys and values are projected from norm1(h);
    with a parallel residual (GPT-J, GPT-NeoX) the feed-forward block reads norm2(skip), not norm2(a).

    Attributes:
        attention: The self-attention.
        norm1: The norm before attention; None: there is none.
        ff: The feed-forward block.
        norm2: The norm before the feed-forward block.
        post1: The norm of the attention's output (Gemma 2 and 3), or None.
        post2: The norm of the feed-forward block's output, or None.
        parallel: Whether the feed-forward block reads the residual before attention.
    """

    attention: SelfAttention
    norm1: Norm | None
    ff: FeedForward
    norm2: Norm
    post1: Norm | None = None
    post2: Norm | None = None
    parallel: bool = False

    def normed(self, hidden: Vectors) -> Vectors:
        """norm1 of the hidden states."""
        return hidden if self.norm1 is None else self.norm1(hidden)

    def project(self, hidden: Vectors, positions: Positions) -> Projected:
        """Query, key and value vectors of each position."""
        return self.attention.project(self.normed(hidden), positions)

    def merged(self, skip: Vectors, attended: Vectors) -> Vectors:
        """The sum, the attention's output after its norm."""
        return skip + (attended if self.post1 is None else self.post1(attended))

    def fed(self, stream: Vectors, tape: Tape | None = None) -> Vectors:
        """The feed-forward block behind its norm."""
        return self.ff(self.norm2(stream), tape)

    def left(self, middle: Vectors, fed: Vectors) -> Vectors:
        """The sum, the feed-forward block's output after its norm."""
        return middle + (fed if self.post2 is None else self.post2(fed))

    def feed(self, skip: Vectors, start: Vectors, step: Vectors, alpha: Float[Tensor, " steps"]) -> Vectors:
        """Residuals, norms and feed-forward block at every point start + alpha step of the attention's output."""
        points = (start[:, None] + alpha[:, None, None] * step[:, None]).flatten(0, 1)
        return self._after(skip.repeat_interleave(len(alpha), 0), points)

    def finish(self, skip: Vectors, context: HeadVectors, tape: Tape | None = None) -> Vectors:
        """Output projection, residuals, norms and feed-forward block."""
        return self._after(skip, self.attention.attended(context), tape)

    def _after(self, skip: Vectors, attended: Vectors, tape: Tape | None = None) -> Vectors:
        middle = self.merged(skip, attended)
        read = skip if self.parallel else middle
        fed = self.fed(read, tape)
        if tape is not None:
            tape.update(attended=attended, read=read, fed=fed)
        return self.left(middle, fed)

    def tangents(self, skip: Vectors, context: HeadVectors, positions: Positions, tape: Tape) -> PreNormTangents:
        """Closed forms from the tape."""
        with torch.no_grad():
            return PreNormTangents(
                self,
                norm1=None if self.norm1 is None else self.norm1.slopes(skip),
                attention=self.attention.slopes(self.normed(skip), positions),
                post1=None if self.post1 is None else self.post1.slopes(tape["attended"]),
                norm2=self.norm2.slopes(tape["read"]),
                ff=self.ff.slopes(tape),
                post2=None if self.post2 is None else self.post2.slopes(tape["fed"]),
            )


@dataclass(frozen=True, eq=False)
class PreNormTangents:
    """Derivatives of a `PreNorm` layer in closed form, from the local derivative of every nonlinearity.

    Attributes:
        layer: The layer.
        norm1: The norm before attention, or None.
        attention: The projections.
        post1: The norm of the attention's output, or None.
        norm2: The norm before the feed-forward block.
        ff: The feed-forward block.
        post2: The norm of the feed-forward block's output, or None.
    """

    layer: PreNorm
    norm1: NormSlopes | None
    attention: SelfAttentionSlopes
    post1: NormSlopes | None
    norm2: NormSlopes
    ff: FeedForwardSlopes
    post2: NormSlopes | None

    def cut(self, rows: slice) -> PreNormTangents:
        """The derivatives at some of the rows."""
        parts = (self.norm1, self.attention, self.post1, self.norm2, self.ff, self.post2)
        return PreNormTangents(self.layer, *(None if part is None else part.cut(rows) for part in parts))  # type: ignore[arg-type]

    def project_jvp(self, at: Index, tangent: Vectors) -> Projected:
        return self.attention.jvp(at, norms.jvp(self.norm1, at, tangent))

    def project_vjp(self, at: Index, grads: Projected) -> Vectors:
        return norms.vjp(self.norm1, at, self.attention.vjp(at, grads))

    def finish_jvp(self, at: Index, skip: Vectors, context: HeadVectors) -> Vectors:
        attended = linear(context.flatten(-2), self.layer.attention.output.weight)
        middle = norms.jvp(self.post1, at, attended) + skip
        fed = self.ff.jvp(at, self.norm2.jvp(at, skip if self.layer.parallel else middle))
        return middle + norms.jvp(self.post2, at, fed)

    def finish_vjp(self, at: Index, grad: Vectors) -> tuple[Vectors, HeadVectors]:
        read = self.norm2.vjp(at, self.ff.vjp(at, norms.vjp(self.post2, at, grad)))
        skip = grad + read
        middle = grad if self.layer.parallel else skip
        return skip, self.layer.attention.attended_vjp(norms.vjp(self.post1, at, middle))
