"""What metrics of patterns go through: the patterns of one instance after the other, and their edges."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from ...core.errors import NotApplicable
from ...methods.views import describe_views
from ...models.flow.graph import NO_EDGE, Patterns
from ..base import ExplainedBatch, ExplainedDraw

NO_HEADS = "the patterns have no attention level."
MIXED = "the patterns are bundles of several nodes a layer, and this score is defined for single paths only."


def pattern_cases(explained: Sequence[ExplainedBatch]) -> Iterator[ExplainedDraw]:
    """Every explanation of the gold answer, one draw after the other.

    Raises:
        NotApplicable: The method gives no patterns, or q reads several positions.
    """
    for batch in explained:
        if batch.batch.target is None:
            raise NotApplicable("q reads several positions, and patterns end at only one.")
        for case in batch.draws():
            if case.explanation.patterns is None:
                raise NotApplicable(f"the method gives {describe_views(case.explanation)}, and this metric reads patterns.")
            yield case


class Edges(NamedTuple):
    """Attention-level edges of patterns, one entry an edge; an edge counts once for each word whose pattern takes it.

    Attributes:
        pattern: The index of the pattern.
        layer: The index of the layer, counted from 0.
        source, to: The positions that the edge connects.
        code: The index of a head, `SKIP` or `ALL_HEADS`.
    """

    pattern: Int[np.ndarray, " edges"]
    layer: Int[np.ndarray, " edges"]
    source: Int[np.ndarray, " edges"]
    to: Int[np.ndarray, " edges"]
    code: Int[np.ndarray, " edges"]


def edges(patterns: Patterns) -> Edges:
    """The edges of all patterns, which must have heads."""
    assert patterns.heads is not None
    pattern, layer, to, source = np.nonzero(patterns.heads != NO_EDGE)
    positions = patterns.positions
    return Edges(
        pattern,
        layer,
        positions[pattern, layer, source],
        positions[pattern, layer + 1, to],
        patterns.heads[pattern, layer, to, source],
    )


def single_paths(patterns: Patterns) -> Int[np.ndarray, "patterns depths"] | None:
    """The positions of patterns that are single paths; None if one is a bundle."""
    many = (patterns.positions[..., 1:] >= 0).any()
    return None if many else patterns.positions[..., 0]


def single_heads(patterns: Patterns) -> Int[np.ndarray, "patterns layers"] | None:
    """The head or skip of each layer, of patterns that are single paths; None without heads or if one edge holds several."""
    if patterns.heads is None or single_paths(patterns) is None:
        return None
    codes: np.ndarray = patterns.heads[:, :, 0, 0]
    return None if (codes < -1).any() else codes


def ratio_of_sums(sums: Float[np.ndarray, "*some 2"]) -> Float[np.ndarray, "*some 1"]:
    """The sum of the first column over that of the second.

    >>> ratio_of_sums(np.array([1.0, 4.0])).tolist()
    [0.25]
    """
    ratio: np.ndarray = sums[..., :1] / sums[..., 1:]
    return ratio
