"""What is drawn, as data: which words, their pattern under any method, and the edges with their widths. NumPy only."""

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
"""Words with less than this share of sum |g| are left out."""


@dataclass(frozen=True)
class Stroke:
    """One edge of the flow graph as drawn.

    Attributes:
        layer: From hidden[layer] to hidden[layer + 1].
        source: Position it leaves.
        to: Position it reaches.
        code: A head's number from 0, `SKIP`, `ALL_HEADS`, or `NO_EDGE` at the embedding level.
        sign: +1 or -1.
        weight: Sum of |influence| of the patterns through it, or a share of sentences.
    """

    layer: int
    source: int
    to: int
    code: int
    sign: int
    weight: float


def kept_words(totals: Float[np.ndarray, " tokens"], share: float = SHARE) -> Int[np.ndarray, " words"]:
    """Positions whose |total| is at least `share` of the sum of all, and not 0.

    >>> kept_words(np.array([1.0, -0.04, 0.06, 0.0])).tolist()
    [0, 2]
    """
    size = np.abs(totals)
    return np.flatnonzero((size >= share * size.sum()) & (size > 0))


def word_totals(explanation: Explanation, n_tokens: int) -> Float[np.ndarray, " tokens"]:
    """Influence of each word over all paths: its token score, else its patterns' total.

    Raises:
        NotApplicable: The explanation says nothing about words.
    """
    if explanation.tokens is not None:
        return explanation.tokens
    if explanation.patterns is None:
        raise NotApplicable(f"the method gives {', '.join(sorted(explanation.views))}, which say nothing about single words.")
    totals = np.zeros(n_tokens)
    totals[explanation.patterns.source] = explanation.patterns.total
    return totals


def word_patterns(explanation: Explanation, totals: Float[np.ndarray, " tokens"], target: int) -> Patterns:
    """One path a word with a total, under any method: its own, or the strongest node of every layer.

    Patterns stay as they are. Flows give the strongest node as seen from the word, edges the best path, nodes (the first draw of
    them, where there are several) the same nodes for every word; such a path has the influence `totals`, the word's own.

    Raises:
        NotApplicable: There is no view from which nodes can be read.
    """
    one, words = explanation.each()[0], np.flatnonzero(totals)
    if one.patterns is not None:
        return one.patterns
    if one.edges is not None:
        positions = best_paths(mean_edges(one.edges), target).positions[words]
    elif (flows := node_flows(one, target)) is not None:
        positions = flows[words].argmax(-1)
    elif (nodes := node_scores(one)) is not None:
        positions = np.repeat(nodes.argmax(1)[None], len(words), 0)
    else:
        raise NotApplicable(
            f"the method gives {', '.join(sorted(one.views))}, from which no path through the layers can be read."
        )
    positions = positions.copy()
    positions[:, 0], positions[:, -1] = words, target
    return Patterns(words, totals[words], totals[words], positions[..., None])


def strokes(patterns: Patterns, weights: Float[np.ndarray, " patterns"] | None = None) -> list[Stroke]:
    """The edges of patterns, those of equal place, node and sign together, in order of place.

    Args:
        patterns: Of the words to draw.
        weights: Signed, one a pattern; default: the influence at the finest level there is.
    """
    if weights is None:
        weights = patterns.influence if patterns.head_influence is None else patterns.head_influence
    found: dict[tuple[int, int, int, int, int], float] = {}
    for number, place in _edges(patterns):
        key = (*place, 1 if weights[number] >= 0 else -1)
        found[key] = found.get(key, 0.0) + abs(float(weights[number]))
    return [Stroke(*key, weight) for key, weight in sorted(found.items())]


def frequencies(patterns: Sequence[Patterns], least: float = 0.0) -> list[Stroke]:
    """How often each edge is used by several sentences: its weight is the share of sentences in which it is.

    Args:
        patterns: One a sentence, all with the same positions.
        least: Edges with a smaller share are left out.
    """
    count: dict[Stroke, int] = {}
    for one in patterns:
        for stroke in {replace(stroke, weight=0.0) for stroke in strokes(one)}:
            count[stroke] = count.get(stroke, 0) + 1
    made = [replace(stroke, weight=number / len(patterns)) for stroke, number in count.items() if number >= least * len(patterns)]
    return sorted(made, key=lambda s: (s.layer, s.source, s.to, s.code, s.sign))


def _edges(patterns: Patterns) -> Iterable[tuple[int, tuple[int, int, int, int]]]:
    """Pattern number and (layer, source, to, code) of every edge."""
    positions = patterns.positions
    for number in range(len(patterns)):
        for layer in range(positions.shape[1] - 1):
            for to, i in enumerate(positions[number, layer + 1]):
                for source, p in enumerate(positions[number, layer]):
                    code = NO_EDGE if patterns.heads is None else int(patterns.heads[number, layer, to, source])
                    if i >= 0 and p >= 0 and (patterns.heads is None or code != NO_EDGE):
                        yield number, (layer, int(p), int(i), code)
