"""Multi-head self-attention of any family: projections, grouped heads, positions in queries and keys, masks, soft caps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import linear

from . import norms
from .attention import KeyMask, Queries, Rows, Weights, fused, key_mask, mix, softmax
from .base import HeadVectors, Index, Positions, Projected, Vectors, select
from .linear import Linear
from .norms import Norm, NormSlopes
from .rotary import Rotary

HeadFirst = Float[Tensor, "rows heads vectors size"]
At = Int[Tensor, "rows vectors"]
"""The positions of vectors."""
To = Int[Tensor, "rows vectors others"]
"""Positions that each of the vectors is paired with."""
Pairs = Float[Tensor, "rows heads vectors others"]
"""A number for each vector and each position that it is paired with."""


class RelativeScores(Protocol):
    """Scores that depend on the distance of query and key: a bias of each distance, or vectors that queries and keys multiply.

    All of them are added to scale q k^T, and each is linear in queries and keys up to a constant. The `asking` and `keyed` parts
    are None where a model has no such part.
    """

    def added(self, query: Queries, key: Rows, at: Int[Tensor, "rows queries"] | None) -> Weights:
        """What is added to the scores.

        Args:
            query: Queries (R, Q, A, d).
            key: Keys of each query head (R, N, A, d).
            at: The positions of the queries; None: every position.
        """
        ...

    def asking(self, query: HeadFirst, at: At, tokens: int) -> Pairs | None:
        """The part that is linear in the queries at some positions: their scores for every key (R, A, M, N)."""
        ...

    def keyed(self, key: HeadFirst, at: At, to: To | None, tokens: int) -> Pairs | None:
        """The part that is linear in the keys at some positions: their scores by queries at `to` (None: all), (R, A, M, T)."""
        ...

    def asking_pull(self, grad: Pairs, at: At) -> HeadFirst | None:
        """The transpose of `asking`."""
        ...

    def keyed_pull(self, grad: Pairs, at: At, to: To, tokens: int) -> HeadFirst | None:
        """The transpose of `keyed`, in a sentence of `tokens` tokens."""
        ...


@dataclass(frozen=True, eq=False)
class SelfAttention:
    """The self-attention of one layer. "Head" means a query head; several of them may share a key and a value head.

    Attributes:
        query: The query projection.
        key: The key projection.
        value: The value projection.
        output: The output projection.
        heads: Query heads (A).
        scale: Factor of the scores.
        key_heads: Heads of keys and values (K), a divisor of A; None: as many.
        causal: Whether a query attends to keys at and before its position alone.
        window: A query attends to keys fewer than this many positions away alone; None: at any distance.
        cap: Scores s become cap tanh(s / cap); None: they stay.
        rotary: The turn of queries and keys by their positions, or None.
        query_norm: Norm of each query vector, before the turn, or None.
        key_norm: Norm of each key vector, before the turn, or None.
        relative: Scores that depend on distances, or None.
    """

    query: Linear
    key: Linear
    value: Linear
    output: Linear
    heads: int
    scale: float
    key_heads: int | None = None
    causal: bool = False
    window: int | None = None
    cap: float | None = None
    rotary: Rotary | None = None
    query_norm: Norm | None = None
    key_norm: Norm | None = None
    relative: RelativeScores | None = None

    @property
    def groups(self) -> int:
        """How many query heads share a key head."""
        return self.heads // (self.key_heads or self.heads)

    def mask(self, real: Bool[Tensor, "rows tokens"], at: Int[Tensor, "rows queries"] | None = None) -> KeyMask:
        """Which keys each query attends to; see `key_mask`."""
        return key_mask(real, self.causal, self.window, at)

    def raw(self, x: Vectors) -> Projected:
        """The projections of each head, before norms and turns."""
        key_heads = self.key_heads or self.heads
        pairs = ((self.query, self.heads), (self.key, key_heads), (self.value, key_heads))
        return Projected(*(part(x).unflatten(-1, (heads, -1)) for part, heads in pairs))

    def project(self, x: Vectors, positions: Positions) -> Projected:
        """Query vectors (*rows, A, d), key and value vectors (*rows, K, d)."""
        return self._turned(self.raw(x), positions)

    def _turned(self, raw: Projected, positions: Positions) -> Projected:
        """The vectors after their norms and turns."""
        query, key, value = raw
        query = query if self.query_norm is None else self.query_norm(query)
        key = key if self.key_norm is None else self.key_norm(key)
        if self.rotary is not None:
            turn = self.rotary.at(query, positions)
            query, key = turn(query), turn(key)
        return Projected(query, key, value)

    def each(self, query: Rows, key: Rows, value: Rows, positions: Positions) -> Projected:
        """As `project`, with an input for each query head: of its query, of its key and of its value (R, N, A, D).

        Heads that share a key head each read their own copy of it, so that what one of them reads can be changed alone.

        Args:
            query: What each head's query is projected from.
            key: What each head's key is projected from.
            value: What each head's value is projected from.
            positions: Of the vectors (R, N).

        Returns:
            Query, key and value vectors of each query head (R, N, A, d).
        """
        key_heads = self.key_heads or self.heads
        parts = []
        for part, x, heads in ((self.query, query, self.heads), (self.key, key, key_heads), (self.value, value, key_heads)):
            repeats = self.heads // heads
            weight = part.weight.unflatten(0, (heads, -1)).repeat_interleave(repeats, 0)
            vectors = torch.einsum("rnah,adh->rnad", x, weight)
            if part.bias is not None:
                vectors = vectors + part.bias.unflatten(0, (heads, -1)).repeat_interleave(repeats, 0)
            parts.append(vectors)
        return self._turned(Projected(*parts), positions)

    def attended(self, context: HeadVectors) -> Vectors:
        """The output projection of the heads' context vectors with its bias."""
        return self.output(context.flatten(-2))

    def attended_vjp(self, grad: Vectors) -> HeadVectors:
        """The gradient of the context vectors from that of their output projection."""
        return (grad @ self.output.weight).unflatten(-1, (self.heads, -1))

    def outputs(self, context: HeadVectors) -> Float[Tensor, "*rows heads hidden"]:
        """Each head's part of the output projection, whose bias belongs to none of them."""
        return torch.einsum("...ad,oad->...ao", context, self.output.weight.unflatten(1, (self.heads, -1)))

    def shared(self, vectors: Float[Tensor, "*rows keyheads size"]) -> Float[Tensor, "*rows heads size"]:
        """Key or value vectors as each query head reads them (*rows, A, d)."""
        return vectors if self.groups == 1 else vectors.repeat_interleave(self.groups, -2)

    def summed(self, grads: Float[Tensor, "*rows heads size"]) -> Float[Tensor, "*rows keyheads size"]:
        """Gradients of key or value vectors (*rows, K, d) from those of what each query head reads."""
        return grads if self.groups == 1 else grads.unflatten(-2, (-1, self.groups)).sum(-2)

    def scores(self, query: Queries, key: Rows, at: Int[Tensor, "rows queries"] | None = None) -> Weights:
        """Scores (R, A, Q, N) before the soft cap and the mask.

        Args:
            query: Queries (R, Q, A, d).
            key: Keys of each query head (R, N, A, d).
            at: The positions of the queries; None: every position.
        """
        scores = query.transpose(1, 2) @ key.permute(0, 2, 3, 1) * self.scale
        return scores if self.relative is None else scores + self.relative.added(query, key, at)

    def weights(self, query: Queries, key: Rows, mask: KeyMask, at: Int[Tensor, "rows queries"] | None = None) -> Weights:
        """P (R, A, Q, N); its rows are queries and sum to 1."""
        scores = self.scores(query, key, at)
        return softmax(scores if self.cap is None else self.cap * torch.tanh(scores / self.cap), mask)

    def slope(self, query: Queries, key: Rows) -> Weights | None:
        """The derivative of the soft cap at every score, or None where there is no cap."""
        return None if self.cap is None else 1 - torch.tanh(self.scores(query, key) / self.cap).square()

    def context(
        self, query: Queries, key: Rows, value: Rows, mask: KeyMask, at: Int[Tensor, "rows queries"] | None = None
    ) -> Queries:
        """Context vectors of each head (R, Q, A, d), without weights where a fused kernel computes them."""
        if self.cap is None and self.relative is None:
            return fused(query, key, value, self.scale, mask)
        return mix(self.weights(query, key, mask, at), value)

    @property
    def plain(self) -> bool:
        """Whether scores are scale q k^T and no more, with a key head for each query head."""
        extra = (self.cap, self.rotary, self.query_norm, self.key_norm, self.relative)
        return all(part is None for part in extra) and self.groups == 1

    def context_once(self, asking: Vectors, x: Vectors, mask: KeyMask) -> HeadVectors:
        """Context vectors (R, 1, A, d) of one position of each row without the others' keys and values; for plain attention.

        q_a . k_j = (q_a W_k) . x_j up to a constant over j, and sum_j P_j v_j = W_v sum_j P_j x_j + b_v: about N times less work.

        Args:
            asking: What the position's query is projected from (R, 1, D).
            x: What keys and values are projected from (R, N, D).
            mask: The keys that the position attends to.
        """
        query = self.query(asking[..., 0, :]).unflatten(-1, (self.heads, -1))
        key, value = (m.weight.unflatten(0, (self.heads, -1)) for m in (self.key, self.value))
        scores = torch.einsum("rah,rnh->ran", torch.einsum("rad,adh->rah", query, key), x) * self.scale
        mixed = torch.einsum("ran,rnh->rah", softmax(scores[:, :, None], mask)[:, :, 0], x)
        context = torch.einsum("rah,adh->rad", mixed, value)
        bias = self.value.bias
        return (context if bias is None else context + bias.unflatten(0, (self.heads, -1)))[:, None]

    def slopes(self, x: Vectors, positions: Positions) -> SelfAttentionSlopes:
        """The derivatives of `project` at the inputs of one forward pass, whose rows are flattened."""
        query_norm = key_norm = None
        if self.query_norm is not None or self.key_norm is not None:
            query, key, _ = self.raw(x.flatten(0, -2))
            query_norm = None if self.query_norm is None else self.query_norm.slopes(query).by_head(self.heads)
            key_norm = None if self.key_norm is None else self.key_norm.slopes(key).by_head(key.shape[-2])
        return SelfAttentionSlopes(self, positions.reshape(-1), query_norm, key_norm)


class SelfAttentionSlopes(NamedTuple):
    """The projections of a self-attention at the values of one forward pass.

    Attributes:
        attention: The self-attention.
        positions: Of each flat row.
        query_norm: Of the norm of queries (rows, A, d), or None.
        key_norm: Of the norm of keys (rows, K, d), or None.
    """

    attention: SelfAttention
    positions: Tensor
    query_norm: NormSlopes | None
    key_norm: NormSlopes | None

    def cut(self, rows: slice) -> SelfAttentionSlopes:
        """The derivatives at some of the rows."""
        norms_of = [None if norm is None else norm.cut(rows) for norm in (self.query_norm, self.key_norm)]
        return SelfAttentionSlopes(self.attention, self.positions[rows], *norms_of)

    def jvp(self, at: Index, x: Vectors) -> Projected:
        """Tangents of query, key and value vectors as each query head reads them, from those of what they are projected from."""
        y = self.attention
        key_heads = y.key_heads or y.heads
        pairs = ((y.query, y.heads), (y.key, key_heads), (y.value, key_heads))
        query, key, value = (linear(x, part.weight).unflatten(-1, (heads, -1)) for part, heads in pairs)
        query, key = norms.jvp(self.query_norm, at, query), norms.jvp(self.key_norm, at, key)
        if y.rotary is not None:
            turn = y.rotary.at(query, select(self.positions, at))
            query, key = turn(query), turn(key)
        return Projected(query, y.shared(key), y.shared(value))

    def vjp(self, at: Index, grads: Projected) -> Vectors:
        """The transpose of `jvp`."""
        y = self.attention
        query, key, value = grads.query, y.summed(grads.key), y.summed(grads.value)
        if y.rotary is not None:
            turn = y.rotary.at(query, select(self.positions, at))
            query, key = turn.back(query), turn.back(key)
        query, key = norms.vjp(self.query_norm, at, query), norms.vjp(self.key_norm, at, key)
        total = query.flatten(-2) @ y.query.weight
        return total + key.flatten(-2) @ y.key.weight + value.flatten(-2) @ y.value.weight
