"""Layers that normalise after each residual: BERT and most encoders after it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import linear

from .base import HeadVectors, Index, Positions, Projected, Tape, Vectors
from .feed_forward import FeedForward, FeedForwardSlopes
from .norms import Norm, NormSlopes
from .self_attention import SelfAttention, SelfAttentionSlopes


@dataclass(frozen=True, eq=False)
class PostNorm:
    """A layer that normalises after each residual (Vaswani et al. 2017; Devlin et al. 2019), made of the model's own submodules.

    a = norm1(output(ctx) + skip);    h' = norm2(ff(a) + a)

    Attributes:
        attention: The self-attention.
        norm1: The norm after attention.
        ff: The feed-forward block.
        norm2: The norm after the feed-forward block.
    """

    attention: SelfAttention
    norm1: Norm
    ff: FeedForward
    norm2: Norm

    def normed(self, hidden: Vectors) -> Vectors:
        """The hidden states themselves."""
        return hidden

    def project(self, hidden: Vectors, positions: Positions) -> Projected:
        """Query, key and value vectors of each position."""
        return self.attention.project(hidden, positions)

    @property
    def parallel(self) -> bool:
        """Never: the feed-forward block reads the residual after attention."""
        return False

    def merged(self, skip: Vectors, attended: Vectors) -> Vectors:
        """norm1 of the sum."""
        return self.norm1(attended + skip)

    def fed(self, stream: Vectors, tape: Tape | None = None) -> Vectors:
        """The feed-forward block."""
        return self.ff(stream, tape)

    def left(self, middle: Vectors, fed: Vectors) -> Vectors:
        """norm2 of the sum."""
        return self.norm2(fed + middle)

    def feed(self, skip: Vectors, start: Vectors, step: Vectors, alpha: Float[Tensor, " steps"]) -> Vectors:
        """Residuals, norms and feed-forward block at every point start + alpha step of the attention's output.

        norm1 centres and divides by a deviation, so that inner(norm1(start + alpha step)) is (a + alpha b) / deviation + c with
        a, b and c the same for every alpha: half of a plain block's matrix products are done once a row, not once a point.
        """
        line = lambda x, y: (x[:, None] + alpha[:, None, None] * y[:, None]).flatten(0, 1)  # noqa: E731
        if self.ff.gate is not None or not self.norm1.centred or self.norm1.weight is None or self.norm1.bias is None:
            return self._after(self.norm1(line(skip + start, step)))
        ends = [x - x.mean(-1, keepdim=True) for x in (skip + start, step)]
        points, weighted = line(*ends), [x * self.norm1.weight for x in ends]
        rsd = torch.rsqrt(points.square().mean(-1, keepdim=True) + self.norm1.eps)
        inner = line(*(linear(x, self.ff.inner.weight) for x in weighted)) * rsd + self.ff.inner(self.norm1.bias)
        return self.norm2(self.ff.outward(inner, None) + torch.addcmul(self.norm1.bias, line(*weighted), rsd))

    def _after(self, middle: Vectors, tape: Tape | None = None) -> Vectors:
        before2 = self.ff(middle, tape) + middle
        if tape is not None:
            tape["before2"] = before2
        return self.norm2(before2)

    def finish(self, skip: Vectors, context: HeadVectors, tape: Tape | None = None) -> Vectors:
        """Output projection, residuals, norms and feed-forward block."""
        before1 = self.attention.attended(context) + skip
        if tape is not None:
            tape["before1"] = before1
        return self._after(self.norm1(before1), tape)

    def tangents(self, skip: Vectors, context: HeadVectors, positions: Positions, tape: Tape) -> PostNormTangents:
        """Closed forms from the tape."""
        with torch.no_grad():
            norm1, norm2 = self.norm1.slopes(tape["before1"]), self.norm2.slopes(tape["before2"])
            attention = self.attention.slopes(skip, positions)
        return PostNormTangents(self, attention, norm1, self.ff.slopes(tape), norm2)


@dataclass(frozen=True, eq=False)
class PostNormTangents:
    """Derivatives of a `PostNorm` layer in closed form, from the local derivative of every nonlinearity.

    Attributes:
        layer: The layer.
        attention: The projections.
        norm1: The norm after attention.
        ff: The feed-forward block.
        norm2: The norm after the feed-forward block.
    """

    layer: PostNorm
    attention: SelfAttentionSlopes
    norm1: NormSlopes
    ff: FeedForwardSlopes
    norm2: NormSlopes

    def cut(self, rows: slice) -> PostNormTangents:
        """The derivatives at some of the rows."""
        return PostNormTangents(self.layer, *(part.cut(rows) for part in (self.attention, self.norm1, self.ff, self.norm2)))  # type: ignore[arg-type]

    def project_jvp(self, at: Index, tangent: Vectors) -> Projected:
        return self.attention.jvp(at, tangent)

    def project_vjp(self, at: Index, grads: Projected) -> Vectors:
        return self.attention.vjp(at, grads)

    def finish_jvp(self, at: Index, skip: Vectors, context: HeadVectors) -> Vectors:
        output = self.layer.attention.output.weight
        middle = self.norm1.jvp(at, linear(context.flatten(-2), output).add_(skip))
        return self.norm2.jvp(at, self.ff.jvp(at, middle).add_(middle))

    def finish_vjp(self, at: Index, grad: Vectors) -> tuple[Vectors, HeadVectors]:
        after = self.norm2.vjp(at, grad)
        skip = self.norm1.vjp(at, self.ff.vjp(at, after).add_(after))
        return skip, self.layer.attention.attended_vjp(skip)
