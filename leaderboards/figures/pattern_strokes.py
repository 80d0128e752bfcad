"""Patterns as data for drawing: which words are shown, their pattern under any method, and the edges with their widths."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int

from ...core.errors import NotApplicable
from ...methods.explanation import Explanation
from ...methods.views import best_paths, mean_edges, node_flows, node_scores
from ...models.flow.graph import NO_EDGE, Patterns

SHARE = 0.05
"""Words with less than this share of the sum of |g| are left out."""


@dataclass(frozen=True)
class Stroke:
    """One edge of the flow graph as drawn.

    Attributes:
        layer: From hidden[layer] to hidden[layer + 1].
        source: The position that it leaves.
        to: The position that it reaches.
        code: The index of an attention head, `SKIP`, `ALL_HEADS`, or `NO_EDGE` at the embedding level.
        sign: +1 or -1.
        weight: The sum of |influence| over the patterns through it, or the share of sentences that have it.
    """

    layer: int
    source: int
    to: int
    code: int
    sign: int
    weight: float


def kept_words(totals: Float[np.ndarray, " tokens"], share: float = SHARE) -> Int[np.ndarray, " words"]:
    """Positions of the words whose |total| is not 0 and at least `share` of the sum over all words.

    >>> kept_words(np.array([1.0, -0.04, 0.06, 0.0])).tolist()
    [0, 2]
    """
    size = np.abs(totals)
    return np.flatnonzero((size >= share * size.sum()) & (size > 0))


def word_totals(explanation: Explanation, n_tokens: int) -> Float[np.ndarray, " tokens"]:
    """Influence of each word over all paths: its token score, or the total of its patterns where words have no score.

    Raises:
        NotApplicable: The explanation scores neither words nor patterns.
    """
    if explanation.tokens is not None:
        return explanation.tokens
    if explanation.patterns is None:
        raise NotApplicable(f"the method gives {', '.join(sorted(explanation.views))}, which do not score single words.")
    totals = np.zeros(n_tokens)
    totals[explanation.patterns.source] = explanation.patterns.total
    return totals


def word_patterns(explanation: Explanation, totals: Float[np.ndarray, " tokens"], target: int) -> Patterns:
    """One path for each word with a total that is not 0, under any method.

    Patterns are returned as they are. Edges give each word's best path, flows the strongest node of each layer as seen from the
    word, and nodes the same strongest nodes for every word; such a path has the influence of its word in `totals`. Of several
    draws, the first is read.

    Args:
        explanation: The explanation of a sentence.
        totals: The influence of each word.
        target: The position that q reads, where every path ends.

    Raises:
        NotApplicable: The explanation has no view from which nodes can be read.
    """
    first, words = explanation.each()[0], np.flatnonzero(totals)
    if first.patterns is not None:
        return first.patterns
    if first.edges is not None:
        positions = best_paths(mean_edges(first.edges), target).positions[words]
    elif (flows := node_flows(first, target)) is not None:
        positions = flows[words].argmax(-1)
    elif (nodes := node_scores(first)) is not None:
        positions = np.repeat(nodes.argmax(1)[None], len(words), 0)
    else:
        raise NotApplicable(
            f"the method gives {', '.join(sorted(first.views))}, from which no path through the layers can be read."
        )
    positions = positions.copy()
    positions[:, 0], positions[:, -1] = words, target
    return Patterns(words, totals[words], totals[words], positions[..., None])


def strokes(patterns: Patterns, weights: Float[np.ndarray, " patterns"] | None = None) -> list[Stroke]:
    """The edges of patterns in order of position; edges with equal ends, head and sign are added up to one stroke.

    Args:
        patterns: Patterns of the words to draw.
        weights: A signed weight for each pattern; by default its influence at the finest level there is.
    """
    if weights is None:
        weights = patterns.influence if patterns.head_influence is None else patterns.head_influence
    sums: dict[tuple[int, int, int, int, int], float] = {}
    for index, edge in _edges(patterns):
        key = (*edge, 1 if weights[index] >= 0 else -1)
        sums[key] = sums.get(key, 0.0) + abs(float(weights[index]))
    return [Stroke(*key, weight) for key, weight in sorted(sums.items())]


def frequencies(patterns: Sequence[Patterns], least: float = 0.0) -> list[Stroke]:
    """Superimposes the patterns of several sentences: an edge's weight is the share of sentences that have it.

    Args:
        patterns: The patterns of each sentence; all sentences have the same positions.
        least: Edges with a smaller share are left out.
    """
    count: dict[Stroke, int] = {}
    for of_sentence in patterns:
        for stroke in {replace(stroke, weight=0.0) for stroke in strokes(of_sentence)}:
            count[stroke] = count.get(stroke, 0) + 1
    shares = [replace(stroke, weight=n / len(patterns)) for stroke, n in count.items() if n >= least * len(patterns)]
    return sorted(shares, key=lambda s: (s.layer, s.source, s.to, s.code, s.sign))


def _edges(patterns: Patterns) -> Iterable[tuple[int, tuple[int, int, int, int]]]:
    """The index of the pattern and (layer, source, to, code) of every edge."""
    positions = patterns.positions
    for index in range(len(patterns)):
        for layer in range(positions.shape[1] - 1):
            for to, i in enumerate(positions[index, layer + 1]):
                for source, p in enumerate(positions[index, layer]):
                    code = NO_EDGE if patterns.heads is None else int(patterns.heads[index, layer, to, source])
                    if i >= 0 and p >= 0 and (patterns.heads is None or code != NO_EDGE):
                        yield index, (layer, int(p), int(i), code)
