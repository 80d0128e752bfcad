"""Scores of distances, added to scale q k^T: a bias of each distance (MPNet), or products with vectors of it (DeBERTa)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from .attention import Queries, Rows, Weights
from .linear import Linear
from .norms import Norm
from .self_attention import At, HeadFirst, Pairs, To

Apart = Int[Tensor, "some vectors others"]
"""Position of the query minus that of the key, for each row or for all of them."""


def everywhere(tokens: int, at: At | None, like: Tensor) -> Apart:
    """The distances of queries at some positions (None: at all) from every key."""
    keys = torch.arange(tokens, device=like.device)
    return (keys[None] if at is None else at)[..., None] - keys


@dataclass(frozen=True, eq=False)
class DistanceBias:
    """A learned number for each head and bucket of distances (Raffel et al. 2020; MPNet: Song et al. 2020).

    It depends on no query and no key, so that none of the linear parts exists.

    Attributes:
        table: The numbers (buckets, A).
        bucket: Distances, of the query minus the key, to rows of the table.
    """

    table: nn.Embedding
    bucket: Callable[[Tensor], Tensor]

    def added(self, query: Queries, key: Rows, at: Int[Tensor, "rows queries"] | None) -> Weights:
        """The bias of each pair."""
        bias = self.table.weight[self.bucket(everywhere(key.shape[1], at, key))].movedim(-1, 1)
        return bias.expand(len(query), -1, -1, -1)

    def asking(self, query: HeadFirst, at: At, tokens: int) -> Pairs | None:
        """No part."""
        return None

    def keyed(self, key: HeadFirst, at: At, to: To | None, tokens: int) -> Pairs | None:
        """No part."""
        return None

    def asking_pull(self, grad: Pairs, at: At) -> HeadFirst | None:
        """No part."""
        return None

    def keyed_pull(self, grad: Pairs, at: At, to: To, tokens: int) -> HeadFirst | None:
        """No part."""
        return None


@dataclass(frozen=True, eq=False)
class Disentangled:
    """Queries times keys of distances, and keys times queries of distances (DeBERTa: He et al. 2021).

    s[i, j] += scale (q_i . K[b(i - j)] + k_j . Q[b(i - j)]), where b is the bucket of a distance and K and Q are projected from
    the vectors of buckets. A vector is multiplied with the at most 2 N - 1 buckets that occur among N tokens, and its scores are
    picked from these products, so that nothing has the size of pairs times a head's width.

    Attributes:
        table: The vectors of buckets (2 span, D).
        norm: Their norm, or None.
        bucket: Distances to buckets from -span to span.
        keys: The projection that queries are multiplied with, or None (no content to position).
        queries: The projection that keys are multiplied with, or None (no position to content).
        heads: Heads (A).
        scale: Factor of the scores.
    """

    table: nn.Embedding
    norm: Norm | None
    bucket: Callable[[Tensor], Tensor]
    keys: Linear | None
    queries: Linear | None
    heads: int
    scale: float

    def added(self, query: Queries, key: Rows, at: Int[Tensor, "rows queries"] | None) -> Weights:
        """Both parts."""
        tokens, apart = key.shape[1], everywhere(key.shape[1], at, key)
        total = query.new_zeros(())
        if self.keys is not None:
            total = total + self._scores(self.keys, query.transpose(1, 2), apart, tokens)
        if self.queries is not None:
            total = total + self._scores(self.queries, key.transpose(1, 2), apart.mT, tokens).mT
        return total.expand(len(query), self.heads, query.shape[1], tokens)

    def asking(self, query: HeadFirst, at: At, tokens: int) -> Pairs | None:
        """Content to position."""
        return None if self.keys is None else self._scores(self.keys, query, everywhere(tokens, at, query), tokens)

    def keyed(self, key: HeadFirst, at: At, to: To | None, tokens: int) -> Pairs | None:
        """Position to content."""
        apart = -everywhere(tokens, at, key) if to is None else to - at[..., None]
        return None if self.queries is None else self._scores(self.queries, key, apart, tokens)

    def asking_pull(self, grad: Pairs, at: At) -> HeadFirst | None:
        """The transpose of `asking`."""
        tokens = grad.shape[-1]
        return None if self.keys is None else self._pull(self.keys, grad, everywhere(tokens, at, grad), tokens)

    def keyed_pull(self, grad: Pairs, at: At, to: To, tokens: int) -> HeadFirst | None:
        """The transpose of `keyed`."""
        return None if self.queries is None else self._pull(self.queries, grad, to - at[..., None], tokens)

    def _vectors(self, part: Linear, tokens: int) -> tuple[Float[Tensor, "heads buckets size"], Int[Tensor, " distances"]]:
        """The projected vectors of the buckets that occur, times the scale, and which of them each distance from 1 - N has."""
        weight = self.table.weight
        span = len(weight) // 2
        rows = (self.bucket(torch.arange(1 - tokens, tokens)) + span).clamp(0, 2 * span - 1)
        used, place = (x.to(weight.device) for x in rows.unique(return_inverse=True))
        vectors = weight[used] if self.norm is None else self.norm(weight[used])
        return part(vectors).unflatten(-1, (self.heads, -1)).transpose(0, 1) * self.scale, place

    def _scores(self, part: Linear, x: HeadFirst, apart: Apart, tokens: int) -> Pairs:
        vectors, place = self._vectors(part, tokens)
        products = x @ vectors.mT  # (R, A, M, buckets)
        return products.gather(-1, place[apart + tokens - 1][:, None].expand(*products.shape[:-1], -1))

    def _pull(self, part: Linear, grad: Pairs, apart: Apart, tokens: int) -> HeadFirst:
        vectors, place = self._vectors(part, tokens)
        products = grad.new_zeros(*grad.shape[:-1], vectors.shape[1])
        return products.scatter_add(-1, place[apart + tokens - 1][:, None].expand_as(grad), grad) @ vectors
