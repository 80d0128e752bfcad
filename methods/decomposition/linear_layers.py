"""The layers of one clean pass as linear maps: attention weights and deviations of norms are held, so that vectors have parts."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ...core.errors import NotApplicable
from ...models.batch import Batch, Rows
from ...models.flow.flow_model import FlowModel, at_target
from ...models.layers.base import Layer
from ...models.layers.norms import Norm
from ...models.layers.post_norm import PostNorm
from ...models.layers.pre_norm import PreNorm
from ...models.memory import affordable

Parts = Float[Tensor, "rows queries *parts hidden"]
COPIES = 4
"""Tensors of the size of the parts that are in memory at once while they are measured."""
EVERY = slice(None)
"""Every query."""


class HeldNorm(NamedTuple):
    """A norm whose deviation is held at that of the clean input: linear up to its bias, which calls leave out.

    Attributes:
        factor: Weight over deviation (R, N, D).
        bias: The norm's bias (D,), or None.
        centred: Whether the mean is subtracted.
    """

    factor: Float[Tensor, "rows tokens hidden"]
    bias: Float[Tensor, " hidden"] | None
    centred: bool

    @classmethod
    def at(cls, norm: Norm, before: Float[Tensor, "rows tokens hidden"]) -> HeldNorm:
        """The norm at its inputs in the clean pass."""
        slopes = norm.slopes(before)
        factor = slopes.rsd.unflatten(0, before.shape[:-1]).expand_as(before)
        return cls(factor if slopes.weight is None else factor * slopes.weight, norm.bias, norm.centred)

    def __call__(self, parts: Parts, queries: slice = EVERY) -> Parts:
        """The norm of parts of its inputs at some queries."""
        centred = parts - parts.mean(-1, keepdim=True) if self.centred else parts
        factor = self.factor[:, queries]
        return centred * factor[(EVERY, EVERY, *[None] * (parts.ndim - factor.ndim))]

    def back(self, gradients: Float[Tensor, "rows tokens hidden"]) -> Float[Tensor, "rows tokens hidden"]:
        """Gradients of its inputs from those of its outputs, at every position."""
        gradients = gradients * self.factor
        return gradients - gradients.mean(-1, keepdim=True) if self.centred else gradients

    def at_target(self, batch: Batch) -> HeldNorm:
        """The norm at the target of each instance alone."""
        return self._replace(factor=at_target(self.factor, batch))


def through(norm: HeldNorm | None, parts: Parts, queries: slice = EVERY) -> Parts:
    """The norm of parts, or the parts themselves where there is no norm."""
    return parts if norm is None else norm(parts, queries)


class HeldNorms(NamedTuple):
    """The norms of a layer, each held at its clean input; None where there is none.

    a = merged(h) + added(output(ctx)); h' = left(a) + fed(ff(read(a))), where values are projected from normed(h); biases apart.

    Attributes:
        normed: Before attention.
        merged: Of the residual that attention is added to.
        added: Of the attention's output.
        read: Before the feed-forward block.
        left: Of the residual that the feed-forward block is added to.
        fed: Of the feed-forward block's output.
    """

    normed: HeldNorm | None
    merged: HeldNorm | None
    added: HeldNorm | None
    read: HeldNorm | None
    left: HeldNorm | None
    fed: HeldNorm | None


@dataclass(frozen=True, eq=False)
class LinearLayer:
    """One layer at a clean pass of B instances with N tokens.

    Attributes:
        layer: The layer itself.
        skip: hidden[l], the residual before attention (B, N, D).
        weights: Attention weights (B, A, N, N), which are held.
        value: Value vectors as each head reads them (B, N, A, d).
        context: Context vectors (B, N, A, d).
        middle: The residual after attention (B, N, D).
        after: hidden[l + 1] (B, N, D).
        norms: The norms, held.
    """

    layer: Layer
    skip: Float[Tensor, "rows tokens hidden"]
    weights: Float[Tensor, "rows heads tokens tokens"]
    value: Float[Tensor, "rows tokens heads size"]
    context: Float[Tensor, "rows tokens heads size"]
    middle: Float[Tensor, "rows tokens hidden"]
    after: Float[Tensor, "rows tokens hidden"]
    norms: HeldNorms

    @cached_property
    def written(self) -> Float[Tensor, "rows tokens heads hidden"]:
        """What each head would write where it attends to a position alone: W_o,h v_j,h."""
        return self.layer.attention.outputs(self.value)

    def by_head(self, queries: slice = EVERY) -> Float[Tensor, "rows queries tokens heads hidden"]:
        """Additive parts of the attention's output: of each position that is read, by each head; the output's bias is left out.

        part[i, j, h] = A_h[i, j] W_o,h v_j,h. A value's bias belongs to its position (Kobayashi et al. 2020).
        """
        return torch.einsum("bhij,bjhd->bijhd", self.weights[:, :, queries], self.written)

    def attended(self, queries: slice = EVERY) -> Float[Tensor, "rows queries tokens hidden"]:
        """The sum of `by_head` over heads."""
        return torch.einsum("bhij,bjhd->bijd", self.weights[:, :, queries], self.written)

    def merged(self, queries: slice = EVERY) -> Float[Tensor, "rows queries tokens hidden"]:
        """Additive parts of the residual after attention, by position read; what biases add is left out.

        The residual before attention is a part of the position's own. Source: Kobayashi et al. 2021.
        """
        parts = through(self.norms.added, self.attended(queries), queries)
        skip = through(self.norms.merged, self.skip[:, queries], queries)
        own = torch.arange(self.skip.shape[1], device=skip.device)[queries]
        parts[:, torch.arange(len(own), device=skip.device), own] += skip
        return parts

    def some_queries(self, copies: int) -> list[slice]:
        """All queries in pieces, so that some copies of their parts fit into a quarter of the memory budget."""
        rows, tokens, width = self.skip.shape
        size = affordable(copies * rows * tokens * width * self.skip.element_size(), 1 / 4, tokens)
        return [slice(first, min(first + size, tokens)) for first in range(0, tokens, size)]


@torch.no_grad()
def linear_layers(model: FlowModel, batch: Batch) -> Iterator[LinearLayer]:
    """Each layer of the clean pass, first to last; the attention of one of them is in memory at a time.

    Raises:
        NotApplicable: A layer of a kind whose norms are not known here.
    """
    hidden = model.embed(model.words(batch), batch)
    for index, layer in enumerate(model.layers):
        rows = Rows(batch, hidden, index)
        (trace,) = model.run(rows, keep={"value", "attention", "context"}, until=index + 1)
        weights, value, context = (trace.site(site, index) for site in ("attention", "value", "context"))
        attended = layer.attention.attended(context)
        middle, after = layer.merged(hidden, attended), trace.site("hidden", index + 1)
        fed = layer.fed(hidden if layer.parallel else middle)
        norms = _held_norms(layer, hidden, attended, middle, fed)
        yield LinearLayer(layer, hidden, weights, layer.attention.shared(value), context, middle, after, norms)
        hidden = after


def _held_norms(layer: Layer, skip: Tensor, attended: Tensor, middle: Tensor, fed: Tensor) -> HeldNorms:
    held = lambda norm, before: None if norm is None else HeldNorm.at(norm, before)  # noqa: E731
    if isinstance(layer, PostNorm):
        norm1, norm2 = held(layer.norm1, attended + skip), held(layer.norm2, fed + middle)
        return HeldNorms(None, norm1, norm1, None, norm2, norm2)
    if isinstance(layer, PreNorm):
        read = skip if layer.parallel else middle
        return HeldNorms(
            normed=held(layer.norm1, skip),
            merged=None,
            added=held(layer.post1, attended),
            read=held(layer.norm2, read),
            left=None,
            fed=held(layer.post2, fed),
        )
    raise NotApplicable(f"it divides layers of the kinds PostNorm and PreNorm, and this model's are {type(layer).__name__}.")


def pieces(model: FlowModel, batch: Batch) -> Iterator[Batch]:
    """The batch in parts, in order, of as many instances as fit: what each head writes, and the parts of one position by head."""
    tokens = batch.ids.shape[1]
    each = 2 * tokens * model.n_heads * model.width * model.dtype.itemsize
    index = torch.arange(len(batch), device=batch.ids.device)
    return (batch.rows(some) for some in index.split(affordable(each, 1 / 4, len(batch))))


def shares(contributions: Float[Tensor, "rows tokens tokens"]) -> Float[Tensor, "rows tokens tokens"]:
    """Contributions of at least 0 as shares: rows sum to 1; a row without any contribution is its own position's alone.

    >>> shares(torch.tensor([[[1.0, 3.0], [0.0, 0.0]]])).tolist()
    [[[0.25, 0.75], [0.0, 1.0]]]
    """
    total = contributions.sum(-1, keepdim=True)
    own = torch.eye(contributions.shape[-1], dtype=contributions.dtype, device=contributions.device)
    return torch.where(total == 0, own, contributions / total)


Contribution = Callable[[LinearLayer, slice], Tensor]
"""Of each position (B, Q, N) in what some queries gather."""


def layer_shares(layer: LinearLayer, contribution: Contribution, copies: int) -> Float[Tensor, "rows tokens tokens"]:
    """Shares of each position in each other in one layer, in float64.

    Args:
        layer: The layer.
        contribution: Of each position in the parts of some queries.
        copies: How many tensors of the size of the parts (B, Q, N, D) are in memory at once.
    """
    pieces = [contribution(layer, queries) for queries in layer.some_queries(copies)]
    return shares(torch.cat(pieces, 1).double())
