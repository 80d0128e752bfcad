"""Which nodes an explanation keeps: its own, or as many as a reference keeps."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from ...core.errors import NotApplicable
from ...methods.explanation import Explanation
from ...methods.views import describe_views, positive_words, rank_nodes
from ...models.flow.graph import ALL_HEADS, NO_EDGE, Subgraph

Budget = Literal["matched", "own"]


@dataclass(frozen=True, eq=False)
class ReferenceBudget:
    """What the reference keeps of one instance: the words and the number of nodes a layer that other methods are matched to.

    Attributes:
        target: The position that q reads.
        words: Sources of Pi_+, as positions.
        all_words: Sources of every pattern, as positions.
        kept: The subgraph of Pi_+, with its attention level where the reference has one.
    """

    target: int
    words: Int[np.ndarray, " words"]
    all_words: Int[np.ndarray, " every_word"]
    kept: Subgraph

    @property
    def node_counts(self) -> Int[np.ndarray, " depths"]:
        """How many nodes of hidden[l] the reference keeps, l = 0..L."""
        counts: np.ndarray = self.kept.nodes.sum(1)
        return counts

    @property
    def unit_counts(self) -> Int[np.ndarray, " layers"]:
        """How many heads and skips of each layer the reference keeps."""
        if self.kept.heads is None or self.kept.skips is None:
            raise NotApplicable("the reference has no attention level.")
        counts: np.ndarray = self.kept.heads.sum((1, 2)) + self.kept.skips.sum(1)
        return counts


def reference_budget(reference: Explanation, n_tokens: int, n_heads: int, target: int) -> ReferenceBudget:
    """The budget that Pi_+ of the reference sets.

    Args:
        reference: The explanation of the reference method.
        n_tokens: Number of tokens of the instance.
        n_heads: Heads a layer.
        target: The position that q reads.

    Raises:
        NotApplicable: The reference has no patterns.
    """
    patterns = reference.patterns
    if patterns is None:
        raise NotApplicable(f"the reference gives {describe_views(reference)}, and a matched budget needs patterns.")
    positive = patterns.select(patterns.total > 0)
    kept = positive.subgraph(n_tokens, None if patterns.heads is None else n_heads)
    return ReferenceBudget(target, positive_words(reference), np.unique(patterns.source), kept)


class UnitRanking(NamedTuple):
    """The attention-level nodes that a method calls its own, and the score of each; units are the heads, and the skip last."""

    own: Bool[np.ndarray, "layers tokens units"]
    score: Float[np.ndarray, "layers tokens units"]


def kept_nodes(explanation: Explanation, by: ReferenceBudget, budget: Budget, words: Int[np.ndarray, " words"]) -> Subgraph:
    """The nodes kept of `G_e`: hidden[0] at the words, the target at hidden[L], and the budget at the layers between.

    Without words nothing at all is kept.

    Args:
        explanation: One draw.
        by: What the reference keeps.
        budget: `own` keeps the method's own nodes; `matched` as many a layer as the reference, own nodes first, in the order
            of the method's score, lower positions on ties.
        words: Positions of the sources.
    """
    if not len(words):
        return Subgraph(np.zeros_like(by.kept.nodes))
    ranking = rank_nodes(explanation, words, by.target)
    if budget == "own":
        return Subgraph(ranking.own)
    nodes = ranking.own.copy()
    for depth in range(1, len(nodes) - 1):
        nodes[depth] = top(ranking.own[depth], ranking.score[depth], int(by.node_counts[depth]))
    return Subgraph(nodes)


def kept_units(explanation: Explanation, by: ReferenceBudget, budget: Budget) -> Subgraph:
    """The nodes kept of `G_a`: those of `kept_nodes` on the words of Pi_+, then heads and skips at their positions.

    `matched` keeps as many heads and skips a layer as the reference. Arguments are those of `kept_nodes`.

    Raises:
        NotApplicable: The method ranks no attention-level nodes, or the reference has none.
    """
    nodes = kept_nodes(explanation, by, budget, by.words).nodes
    if by.kept.heads is None:
        raise NotApplicable("the reference has no attention level.")
    ranking = rank_units(explanation, by.words, nodes, by.kept.heads.shape[2])
    own, score = ranking.own & nodes[1:, :, None], np.where(nodes[1:, :, None], ranking.score, -np.inf)
    kept = own
    if budget == "matched":
        own = own & (explanation.units is None)  # scores alone: each position's best would cover positions evenly
        kept = np.stack(
            [top(o.ravel(), s.ravel(), int(n)).reshape(o.shape) for o, s, n in zip(own, score, by.unit_counts, strict=True)]
        )
        kept &= nodes[1:, :, None]
    return Subgraph(nodes, kept[..., :-1], kept[..., -1])


def rank_units(
    explanation: Explanation, words: Int[np.ndarray, " words"], nodes: Bool[np.ndarray, "depths tokens"], n_heads: int
) -> UnitRanking:
    """How an explanation ranks heads and skips.

    From patterns with heads: those on the words' patterns are its own, each scored with the largest |influence| through it. From
    `units`: the best at each retained position is its own.

    Args:
        explanation: One draw.
        words: Positions of the sources.
        nodes: The nodes retained at the embedding level.
        n_heads: Heads a layer.

    Raises:
        NotApplicable: The explanation has neither units nor patterns with heads.
    """
    if explanation.units is not None:
        best = explanation.units == explanation.units.max(-1, keepdims=True)
        return UnitRanking(best & (np.cumsum(best, -1) == 1) & nodes[1:, :, None], explanation.units)
    patterns = explanation.patterns
    if patterns is None or patterns.heads is None:
        given = "patterns without heads" if patterns is not None else describe_views(explanation)
        raise NotApplicable(f"the method gives {given}, and attention-level nodes are read from units or patterns with heads.")
    score = np.zeros((nodes.shape[0] - 1, nodes.shape[1], n_heads + 1))
    own = np.zeros(score.shape, bool)
    influence = np.abs(patterns.influence if patterns.head_influence is None else patterns.head_influence)
    for pattern, layer, to, source in np.argwhere(patterns.heads != NO_EDGE):
        if patterns.source[pattern] not in words:
            continue
        code, position = patterns.heads[pattern, layer, to, source], patterns.positions[pattern, layer + 1, to]
        units = slice(0, n_heads) if code == ALL_HEADS else code  # SKIP is -1, the last
        own[layer, position, units] = True
        score[layer, position, units] = np.maximum(score[layer, position, units], influence[pattern])
    return UnitRanking(own, score)


def top(own: Bool[np.ndarray, " n"], score: Float[np.ndarray, " n"], count: int) -> Bool[np.ndarray, " n"]:
    """Which entries are the first `count`: own ones first, then by falling score, then by position.

    >>> top(np.array([False, True, False, False]), np.array([0.9, 0.1, 0.5, 0.5]), 3).tolist()
    [True, True, True, False]
    """
    order = np.lexsort((np.arange(len(own)), -score, ~own))
    chosen = np.zeros(len(own), bool)
    chosen[order[:count]] = True
    return chosen


def with_target(kept: Subgraph, target: int) -> Subgraph:
    """The subgraph with hidden[l][target] kept at every layer, and at the attention level its skips."""
    nodes = kept.nodes.copy()
    nodes[:, target] = True
    if kept.skips is None:
        return replace(kept, nodes=nodes)
    skips = kept.skips.copy()
    skips[:, target] = True
    return replace(kept, nodes=nodes, skips=skips)


def every_later_node(by: ReferenceBudget) -> Subgraph:
    """The subgraph of a control: the words of Pi_+ at hidden[0], then every node."""
    nodes = np.ones_like(by.kept.nodes)
    nodes[0] = False
    nodes[0, by.words] = True
    return Subgraph(nodes)
