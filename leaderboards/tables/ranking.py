"""The order of the methods of a group on one metric: behind `show`, `compare` and the site (docs/adr/0018-one-ranking.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

from ...metrics.bootstrap import condition_groups, interval, mean_of_sums
from ..stored.comparable_cells import ComparableCells
from ..stored.score_table import CellSource, ScoreTable, ranked_variant, read_scores


@dataclass(frozen=True, eq=False)
class Ranking:
    """The methods of one group on one metric, best first.

    Scores are averaged over draws and over cells that differ in their seed alone. Ranks rest on the instances that every method
    has a score of; means and intervals of a method on all of its own.

    Attributes:
        group: Whose cells.
        metric: Plain name.
        variant: Of the metric.
        unit: Of the scores.
        scores: The table, in the order of rank.
        missing: Why other methods have no score, by label.
    """

    group: ComparableCells
    metric: str
    variant: str
    unit: str
    scores: ScoreTable
    missing: dict[str, str]

    @property
    def shared(self) -> int:
        """Instances that every method has a score of."""
        return int(self.scores.common.sum())

    @cached_property
    def places(self) -> dict[str, int]:
        """Place of each method; equal means share the better one: 1, 1, 3. Empty where no instance is shared."""
        if not self.shared:
            return {}
        ranks = self.scores.order(self.scores.common_means())
        return {name: int(1 + (ranks < rank).sum()) for name, rank in zip(self.scores.methods, ranks, strict=True)}

    @cached_property
    def means(self) -> Float[np.ndarray, "methods 3"]:
        """Mean of each method over its own instances, with the ends of its 95 % interval."""
        return mean_intervals(self.scores)


def rank_methods(
    source: CellSource, group: ComparableCells, metric: str, variant: str = "", methods: Sequence[str] = ()
) -> Ranking:
    """Ranks the methods of a group that have a score.

    Args:
        source: Finds the group's cells.
        group: The cells.
        metric: Plain name or identity.
        variant: Of the metric; empty: the ranked one.
        methods: Only these, by name or label.

    Returns:
        The ranking; its table is in the store's order where no instance has a score of every method.
    """
    stored = read_scores(source, group, metric, variant)
    names = {label: records[0].method for label, records in group.by_method().items()}
    scores = stored.table.narrow([m for m in stored.table.methods if not methods or m in methods or names[m] in methods])
    if scores.common.any():
        best_first = np.argsort(scores.order(scores.common_means()), kind="stable")
        scores = scores.narrow([scores.methods[i] for i in best_first])
    default, _, unit = ranked_variant(group, metric)
    return Ranking(group, metric, variant or default, unit, scores, stored.missing)


def mean_intervals(scores: ScoreTable) -> Float[np.ndarray, "methods 3"]:
    """Mean of each method over its own instances with the 95 % interval (BCa, conditions apart).

    Args:
        scores: The table.

    Returns:
        Mean, low and high of each method, in the unit of the scores; NaN where a method has no score.
    """
    bounds = np.full((len(scores.methods), 3), np.nan)
    # Methods with scores of the same instances are resampled together: one set of resamples for all of them.
    patterns, pattern_of = np.unique(~np.isnan(scores.values), axis=0, return_inverse=True)
    for index, defined in enumerate(patterns):
        rows = np.flatnonzero(pattern_of.reshape(-1) == index)
        if defined.any():
            features = np.stack([*scores.values[rows][:, defined], np.ones(defined.sum())], 1)
            groups = condition_groups(np.array(scores.conditions)[defined])
            bounds[rows] = np.stack(interval(features, groups, mean_of_sums), 1)
    return bounds
