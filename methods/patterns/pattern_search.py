"""The search for influence patterns: guided refinement of nodes, then of heads and skips (Lu et al. 2021, section 4.2).

All words of all instances of a batch are refined together. Letters: B instances, R = B S rows, W words, M = W * beams prefixes,
F and T nodes of a prefix at the lower and the upper layer (1, or k), N tokens, A heads.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ...core.errors import UsageError
from ...models.flow import chain_rule
from ...models.flow.graph import SKIP
from ...models.flow.pattern_influence import pattern_influence
from ...models.flow.trace import PathTrace
from ...models.layers.base import Projected, select
from ...models.memory import affordable

ENUMERATION_LIMIT = 20_000
"""Largest number N^(L-1) of patterns of one word that exact enumeration walks."""
WORDS, TANGENTS = 1 / 4, 8
"""Share of the memory budget of what a search keeps of every word and sample, and how many vectors that is in a layer."""
PIECE, SCORES = 1 / 8, 10
"""Share of the scores of a layer for the samples of one piece, and how many numbers that is for each head and pair of tokens."""


class EmbeddingPatterns(NamedTuple):
    """Embedding-level patterns, padded to W words in every instance."""

    traced: Bool[Tensor, "batch words"]
    """Whether an entry is a traced word, and not padding."""
    total: Float[Tensor, "batch words"]
    """g of the word: its influence over all paths."""
    nodes: list[Tensor]
    """The pattern's nodes (B, W, 1 or k) at l = 0..L."""
    influence: Float[Tensor, "batch words"]
    """Influence of the whole pattern."""
    heads: list[Tensor]
    """Influence of each edge by head, with every later path open (B, W, T, F, A), l = 0..L-1."""
    skips: list[Tensor]
    """Influence of each edge by the skip (B, W, T, F); -inf where the positions differ."""
    totals: list[Tensor]
    """Influence of the pattern's prefix continued by each node (B, W, N), every later path open, l = 1..L."""


class AttentionPatterns(NamedTuple):
    """Attention-level patterns of the same words."""

    choice: list[Tensor]
    """Head index or SKIP of each edge (B, W, T, F), l = 0..L-1."""
    influence: Float[Tensor, "batch words"]


def traced_words(trace: PathTrace) -> tuple[Int[Tensor, "batch words"], Bool[Tensor, "batch words"]]:
    """The words to trace: those whose word vector differs from the baseline's.

    Args:
        trace: The path trace of B instances.

    Returns:
        Positions (B, W) of the words in order, and whether each is a word and not padding; padding repeats the first position.
    """
    live = (trace.delta.abs().amax(-1) > 0) & trace.batch.attention_mask
    order = (~live).to(torch.int8).argsort(dim=1, stable=True)[:, : int(live.sum(1).max())]
    traced = live.gather(1, order)
    return torch.where(traced, order, order[:, :1]), traced


def search(trace: PathTrace, beam: int = 1, k: int = 1) -> EmbeddingPatterns:
    """Refines the nodes of every word's pattern, layer by layer.

    Args:
        trace: The path trace of the batch.
        beam: Prefixes kept for each word.
        k: Nodes kept in each layer.

    Returns:
        The pattern of every traced word.

    Raises:
        UsageError: A sentence has fewer than `k` tokens.
    """
    shortest = min(trace.batch.lengths)
    if k > shortest:
        name = trace.batch.names[trace.batch.lengths.index(shortest)]
        raise UsageError(f"k={k} nodes a layer, but {name!r} has {shortest} tokens: take a smaller k.")
    words, traced = traced_words(trace)
    total = trace.g.gather(1, words)
    sign = torch.where(total < 0, -1.0, 1.0).to(total.dtype)
    size = _words_at_once(trace, TANGENTS * beam * k, beam * k)
    parts = []
    for some, signs in zip(words.split(size, 1), sign.split(size, 1), strict=True):
        walk = _Walk(trace, some, signs, beam, k)
        for layer in range(trace.model.n_layers):
            walk.step(layer)
        parts.append((walk.nodes, walk.influence, walk.heads, walk.skips, walk.totals))
    return EmbeddingPatterns(traced, total, *(_joined(each) for each in zip(*parts, strict=True)))


def _words_at_once(trace: PathTrace, vectors: int, prefixes: int) -> int:
    """How many words' patterns may be refined at once.

    Args:
        trace: The path trace.
        vectors: Vectors of the model's width that are kept of each word and sample.
        prefixes: Nodes of each word that are at work in a layer, each with scores of all heads and positions.
    """
    model, number, tokens = trace.model, trace.g.element_size(), trace.batch.ids.shape[1]
    kept = affordable(trace.samples * len(trace.batch) * vectors * model.width * number, WORDS)
    rows = trace.samples_at_once * len(trace.batch)
    return min(kept, affordable(rows * prefixes * SCORES * model.n_heads * tokens * number, PIECE))


def _joined(parts: Sequence[Any]) -> Any:
    """Results of some words after the other as one, along the axis of words; of each layer, where they are lists."""
    if len(parts) == 1:
        return parts[0]
    if isinstance(parts[0], list):
        return [torch.cat(layer, 1) for layer in zip(*parts, strict=True)]
    return torch.cat(list(parts), 1)


class _Walk:
    """The prefixes kept so far: their nodes (B, M, k) in each layer, and the tangents of the last nodes."""

    def __init__(self, trace: PathTrace, words: Tensor, sign: Tensor, beam: int, k: int) -> None:
        self.trace, self.sign, self.beam, self.k = trace, sign, beam, k
        self.nodes: list[Tensor] = [words[..., None]]
        self.heads: list[Tensor] = []
        self.skips: list[Tensor] = []
        self.totals: list[Tensor] = []
        self.tangents = [chain_rule.start_tangents(piece, self.nodes[0]) for piece in trace.pieces()]
        self.influence = sign

    def step(self, layer: int) -> None:
        """Continues the prefixes by a node of the layer above, and keeps the best."""
        trace, source = self.trace, self.nodes[-1]
        scores, moved = self._scores(layer, source)
        heads = scores.heads.unflatten(-1, source.shape[1:]).permute(0, 3, 2, 4, 1)  # (B, M, N, F, A)
        skip = scores.skip.unflatten(-1, source.shape[1:])[:, :, None]  # (B, M, 1, F)
        # An edge carries the sum over its heads; the skip adds to the one edge that stays at the position.
        totals = heads.sum(-1).scatter_add(2, source[:, :, None], skip).sum(-1)
        last = layer == trace.model.n_layers - 1
        to, parent = self._arrive(totals) if last else self._choose(totals)
        if self.beam > 1:
            self.tangents = [_pick_rows(tangent, parent) for tangent in self.tangents]
            moved = [Projected(*(_pick_rows(x, parent) for x in each)) for each in moved]
            source, heads, skip, totals = (_pick(x, parent) for x in (source, heads, skip, totals))
            self.nodes, self.heads, self.skips, self.totals = (
                [_pick(x, parent) for x in kept] for kept in (self.nodes, self.heads, self.skips, self.totals)
            )
        self.heads.append(_pick_next(heads, to))
        self.skips.append(skip.expand(-1, -1, to.shape[2], -1).masked_fill(to[..., None] != source[:, :, None], -torch.inf))
        self.totals.append(totals)
        self.influence = totals.gather(2, to).sum(-1)
        self.nodes.append(to)
        if not last:
            for place, piece in enumerate(trace.pieces()):
                context = _sum_sources(chain_rule.context_tangents(piece, layer, source, to, moved[place]))
                skips = chain_rule.skip_tangents(piece, source, to, self.tangents[place])
                self.tangents[place] = chain_rule.advance(piece, layer, to, skips, context)

    def _scores(self, layer: int, source: Tensor) -> tuple[chain_rule.EdgeScores, list[Projected]]:
        """Edge scores of the last nodes, summed over pieces of the samples, and what `project` makes of each piece."""
        total, moved = None, []
        for piece, tangent in zip(self.trace.pieces(), self.tangents, strict=True):
            moved.append(chain_rule.project(piece, layer, source, tangent))
            flat = Projected(*(x.flatten(1, 2) for x in moved[-1]))
            scores = chain_rule.edge_scores(piece, layer, source.flatten(1), tangent.flatten(1, 2), flat)
            total = scores if total is None else chain_rule.EdgeScores(*(a + b for a, b in zip(total, scores, strict=True)))
        assert total is not None
        return total, moved

    def _choose(self, totals: Float[Tensor, "batch prefixes tokens"]) -> tuple[Tensor, Tensor]:
        """The next nodes (B, M', T) of the prefixes kept, and which prefix (B, M') each continues; low positions win ties."""
        words, tokens = self.sign.shape[1], totals.shape[2]
        directed = totals.unflatten(1, (words, -1)) * self.sign[:, :, None, None]
        directed = directed.masked_fill(~self.trace.batch.attention_mask[:, None, None], -torch.inf)
        if self.beam == 1:
            order = directed[:, :, 0].sort(dim=-1, descending=True, stable=True).indices
            return order[..., : self.k], _all(totals)
        # Beams and positions are one axis here: the index modulo N is the next node, its quotient the prefix within the word.
        best = directed.flatten(2).sort(dim=-1, descending=True, stable=True).indices[..., : self.beam]
        start = torch.arange(words, device=best.device)[:, None] * directed.shape[2]
        return (best % tokens).flatten(1)[..., None], (best // tokens + start).flatten(1)

    def _arrive(self, totals: Float[Tensor, "batch prefixes tokens"]) -> tuple[Tensor, Tensor]:
        """The target as last node of every prefix kept, and each word's best prefix."""
        target = self.trace.batch.target
        assert target is not None
        if self.beam == 1:
            return target[:, None, None].expand(-1, totals.shape[1], 1), _all(totals)
        words = self.sign.shape[1]
        end = totals.gather(2, target[:, None, None].expand(-1, totals.shape[1], 1)).unflatten(1, (words, -1))[..., 0]
        valid = self._reached(words)
        best = (end * self.sign[..., None]).masked_fill(~valid, -torch.inf).argmax(-1)
        parent = best + torch.arange(words, device=best.device) * end.shape[2]
        return target[:, None, None].expand(-1, words, 1), parent

    def _reached(self, words: int) -> Tensor:
        """Prefixes that stay on real tokens: a wide beam on a short sentence also holds some that do not."""
        mask = self.trace.batch.attention_mask
        on_real = [mask.gather(1, nodes.flatten(1)).unflatten(1, nodes.shape[1:]).all(-1) for nodes in self.nodes]
        return torch.stack(on_real).all(0).unflatten(1, (words, -1))


def _all(totals: Tensor) -> Tensor:
    """The index of every prefix, for a step that keeps all of them (B, M)."""
    return torch.arange(totals.shape[1], device=totals.device).expand(len(totals), -1)


def _pick(values: Tensor, parent: Int[Tensor, "batch kept"]) -> Tensor:
    """Values (B, M, ...) of the prefixes kept."""
    return values[torch.arange(len(values), device=parent.device)[:, None], parent]


def _pick_rows(values: Tensor, parent: Int[Tensor, "batch kept"]) -> Tensor:
    """Values (R, M, ...) of the prefixes kept, in the rows of every sample."""
    return _pick(values, parent.repeat_interleave(len(values) // len(parent), 0))


def _pick_next(heads: Float[Tensor, "b m n f a"], to: Int[Tensor, "b m t"]) -> Float[Tensor, "b m t f a"]:
    """Edge scores at the chosen next nodes."""
    return heads.gather(2, to[..., None, None].expand(-1, -1, -1, *heads.shape[3:]))


def _sum_sources(context: Tensor) -> Tensor:
    """Context tangents (R, M, T, F, A, d) summed over sources; no copy for a single one."""
    return context.squeeze(3) if context.shape[3] == 1 else context.sum(3)


def refine(trace: PathTrace, patterns: EmbeddingPatterns, free_suffix: bool = False) -> AttentionPatterns:
    """Chooses a head or the skip for each edge of the patterns, from the source on; earlier choices constrain later ones.

    Args:
        trace: The path trace of the batch.
        patterns: The patterns of the search.
        free_suffix: False: the suffix runs through the pattern's own nodes with all heads and skips open. True: every path may
            follow, and the prefix's heads are open too, so that each choice is by the search's own edge score.

    Returns:
        The choice of every edge, and the influence of the attention-level pattern.
    """
    k, count = max(nodes.shape[2] for nodes in patterns.nodes), patterns.total.shape[1]
    size = _words_at_once(trace, k * (2 * trace.model.n_layers + k * TANGENTS), k)
    parts = [
        _refine(trace, _of_words(patterns, slice(start, start + size)), free_suffix) for start in range(0, max(1, count), size)
    ]
    return AttentionPatterns(*(_joined(each) for each in zip(*parts, strict=True)))


def _of_words(patterns: EmbeddingPatterns, words: slice) -> EmbeddingPatterns:
    """The patterns of some of the words."""
    fields: Iterator[Any] = ([x[:, words] for x in each] if isinstance(each, list) else each[:, words] for each in patterns)
    return EmbeddingPatterns(*fields)


def _refine(trace: PathTrace, patterns: EmbeddingPatterns, free_suffix: bool) -> AttentionPatterns:
    """Refines the patterns of some words together; see `refine`."""
    nodes, choices, influence = patterns.nodes, list[Tensor](), patterns.influence
    grads = [_suffix_gradients(piece, nodes) for piece in trace.pieces()]
    tangents = [chain_rule.start_tangents(piece, nodes[0]) for piece in trace.pieces()]
    for layer in range(trace.model.n_layers):
        source, to = nodes[layer], nodes[layer + 1]
        contexts, scores = [], []
        for piece, tangent, suffix in zip(trace.pieces(), tangents, grads, strict=True):
            moved = chain_rule.project(piece, layer, source, tangent)
            contexts.append(chain_rule.context_tangents(piece, layer, source, to, moved))
            scores.append(_constrained_scores(piece, source, to, tangent, contexts[-1], *suffix[layer]))
        heads, skips = (parts[0] if len(scores) == 1 else torch.stack(parts).sum(0) for parts in zip(*scores, strict=True))
        choice = (
            _choose(patterns.heads[layer], patterns.skips[layer], patterns) if free_suffix else _choose(heads, skips, patterns)
        )
        choices.append(choice)
        skipped = choice == SKIP
        if layer == trace.model.n_layers - 1:
            chosen = torch.where(skipped, skips, heads.gather(-1, choice.clamp(min=0)[..., None])[..., 0])
            influence = chosen.sum((-1, -2))
            break
        # The tangent goes on through the chosen head or skip alone; rows of samples repeat the choice of their instance.
        kept = torch.arange(trace.model.n_heads, device=choice.device) == choice[..., None]
        for place, piece in enumerate(trace.pieces()):
            spread = kept.repeat_interleave(piece.samples, 0)[..., None]
            follow = skipped.repeat_interleave(piece.samples, 0).to(tangents[place].dtype) @ tangents[place]
            tangents[place] = chain_rule.advance(piece, layer, to, follow, _sum_sources(contexts[place].mul_(spread)))
    return AttentionPatterns(choices, influence)


def _suffix_gradients(trace: PathTrace, nodes: list[Tensor]) -> list[tuple[Tensor, Tensor]]:
    """Gradients of q at each pattern's skips (R, M, T, D) and context vectors (R, M, T, A, d), later paths on the pattern.

    From the last layer down: the gradient at a layer's nodes is pulled back through attention and skip of the layer above, only
    along edges of the pattern, and then through the rest of the layer below.
    """
    last = trace.model.n_layers - 1
    index = trace.at(nodes[-1][:, :1])
    skip, context = (select(x[last].flatten(0, 1), index) for x in (trace.grad_skip, trace.grad_context))
    count = nodes[-1].shape[1]
    grads = [(skip.expand(-1, count, -1, -1), context.expand(-1, count, -1, -1, -1))]
    for layer in range(last, 0, -1):
        source, to = nodes[layer], nodes[layer + 1]
        skip, context = grads[-1]
        pulled = chain_rule.context_pull(trace, layer, source, to, context)
        same = chain_rule.same_position(trace, source, to)
        through = skip * same[..., 0, None] if same.shape[2:] == (1, 1) else same.to(skip.dtype).transpose(-1, -2) @ skip
        index = trace.at(source)
        below = trace.tangents[layer].project_vjp(index, pulled).add_(through)
        grads.append(trace.tangents[layer - 1].finish_vjp(index, below))
    return grads[::-1]


def _constrained_scores(
    trace: PathTrace, source: Tensor, to: Tensor, tangent: Tensor, context: Tensor, grad_skip: Tensor, grad_context: Tensor
) -> tuple[Tensor, Tensor]:
    """Influence of each edge's heads (B, M, T, F, A) and skip (B, M, T, F; -inf where positions differ)."""
    heads = trace.mean((context * grad_context[:, :, :, None]).sum(-1))
    skips = trace.mean(grad_skip @ tangent.transpose(-1, -2))
    return heads, skips.masked_fill(to[..., None] != source[:, :, None], -torch.inf)


def _choose(heads: Tensor, skips: Tensor, patterns: EmbeddingPatterns) -> Tensor:
    """The head or skip with the largest influence in the direction of g; the skip wins ties."""
    sign = torch.where(patterns.total < 0, -1.0, 1.0).to(heads.dtype)[:, :, None, None]
    best, head = (heads * sign[..., None]).max(-1)
    by_skip = torch.where(skips.isinf(), skips, skips * sign)
    return torch.where(by_skip >= best, SKIP, head)


def optimality_gaps(trace: PathTrace, patterns: EmbeddingPatterns) -> list[Float[Tensor, " words"]]:
    """Best influence among all N^(L-1) patterns of each word minus the found pattern's, in the direction of g.

    Args:
        trace: The path trace of the batch.
        patterns: The patterns of the search.

    Returns:
        The gaps of the traced words of each instance, in units of q; 0 where the search found the best pattern.

    Raises:
        UsageError: A word has more patterns than `ENUMERATION_LIMIT`.
    """
    gaps = []
    for row, length in enumerate(trace.batch.lengths):
        count = length ** (trace.model.n_layers - 1)
        if count > ENUMERATION_LIMIT:
            raise UsageError(
                f"exact enumeration would walk {count:,} patterns a word ({length} tokens, {trace.model.n_layers} layers), "
                f"more than {ENUMERATION_LIMIT:,}: use a smaller model or shorter sentences, or leave `exact` out."
            )
        middle = torch.tensor(list(itertools.product(range(length), repeat=trace.model.n_layers - 1)), device=trace.g.device)
        middle = middle.reshape(count, trace.model.n_layers - 1)
        assert trace.batch.target is not None
        ends = trace.batch.target[row].expand(count, 1)
        words = patterns.nodes[0][row, patterns.traced[row]]
        walks = torch.cat([words.repeat_interleave(count, 0), middle.repeat(len(words), 1), ends.repeat(len(words), 1)], 1)
        sign = torch.where(patterns.total[row, patterns.traced[row]] < 0, -1, 1)
        every = pattern_influence(trace, row, walks).view(len(words), count) * sign[:, None]
        gaps.append(every.amax(1) - patterns.influence[row, patterns.traced[row]] * sign)
    return gaps
