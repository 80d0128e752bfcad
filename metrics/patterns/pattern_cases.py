"""What pattern metrics go through: explanations one by one, and a pattern's edges."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from ...core.errors import NotApplicable
from ...methods.explanation import Explanation
from ...models.flow.graph import NO_EDGE, Patterns
from ...tasks.instance import Instance
from ..base import ExplainedBatch

NO_HEADS = "the patterns have no attention level."
MIXED = "the patterns are bundles of several nodes a layer, and this is defined for single paths."


class PatternCase(NamedTuple):
    """The patterns of one instance (and draw)."""

    shown: ExplainedBatch
    row: int
    instance: Instance
    draw: int
    explanation: Explanation
    patterns: Patterns

    @property
    def size(self) -> int:
        """Real tokens."""
        return int(self.shown.batch.attention_mask[self.row].sum())

    @property
    def target(self) -> int:
        """The position q reads."""
        assert self.shown.batch.target is not None
        return int(self.shown.batch.target[self.row])


def pattern_cases(shown: Sequence[ExplainedBatch]) -> Iterator[PatternCase]:
    """Every explanation of the gold quantity that has patterns.

    Raises:
        NotApplicable: The method gives no patterns, or q reads several positions.
    """
    for batch in shown:
        if batch.batch.target is None:
            raise NotApplicable("q reads several positions, and patterns end at one.")
        for row, (instance, explanation) in enumerate(zip(batch.instances, batch.gold, strict=True)):
            for draw, one in enumerate(explanation.each()):
                if one.patterns is None:
                    raise NotApplicable(f"the method gives {', '.join(sorted(one.views))}, and this metric reads patterns.")
                yield PatternCase(batch, row, instance, draw, one, one.patterns)


class Edges(NamedTuple):
    """Attention-level edges of patterns, one row an edge, words with multiplicity."""

    pattern: Int[np.ndarray, " edges"]
    layer: Int[np.ndarray, " edges"]
    source: Int[np.ndarray, " edges"]
    to: Int[np.ndarray, " edges"]
    code: Int[np.ndarray, " edges"]
    """A head's number, `SKIP` or `ALL_HEADS`."""


def edges(patterns: Patterns) -> Edges:
    """The edges of all patterns (which must have heads)."""
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
    """Positions of patterns that are single paths; None for bundles."""
    many = (patterns.positions[..., 1:] >= 0).any()
    return None if many else patterns.positions[..., 0]


def single_heads(patterns: Patterns) -> Int[np.ndarray, "patterns layers"] | None:
    """Attention-level nodes of patterns that are single paths; None where there are none or one edge holds several."""
    if patterns.heads is None or single_paths(patterns) is None:
        return None
    found: np.ndarray = patterns.heads[:, :, 0, 0]
    return None if (found < -1).any() else found


def ratio_of_sums(sums: Float[np.ndarray, "*some 2"]) -> Float[np.ndarray, "*some 1"]:
    """Sum of the first column over that of the second."""
    ratio: np.ndarray = sums[..., :1] / sums[..., 1:]
    return ratio
