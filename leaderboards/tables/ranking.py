"""The order of the methods of a group on one metric: behind `show`, `compare` and the site (docs/adr/0018-one-ranking.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float

from ...methods.registry import controlled_method
from ...metrics.scores import count_in_words
from ..stored.comparable_cells import ComparableCells
from ..stored.score_table import CellSource, ScoreTable, ranked_score, read_scores

TOO_FEW = "too few"
LEAST_SHARE = 0.8
"""Share of the instances of a table that a method needs scores of to have a rank."""


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
        missing: Why other methods have no rank, by label.
        controls: The scores of controls, which have no rank.
    """

    group: ComparableCells
    metric: str
    variant: str
    unit: str
    scores: ScoreTable
    missing: dict[str, str]
    controls: ScoreTable

    @property
    def shared(self) -> int:
        """Instances that every method has a score of."""
        return int(self.scores.common.sum())

    @property
    def shared_in_words(self) -> str:
        """How many these are, and in how many clusters."""
        return count_in_words(self.shared, self.scores.common_clusters)

    @property
    def too_few(self) -> dict[str, str]:
        """Methods that have scores of too few instances for a rank, with the numbers."""
        return {name: reason for name, reason in self.missing.items() if reason.startswith(TOO_FEW)}

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
        return self.scores.mean_intervals()

    @cached_property
    def control_means(self) -> Float[np.ndarray, "controls 3"]:
        """The same of each control."""
        return self.controls.mean_intervals()


def rank_methods(
    source: CellSource, group: ComparableCells, metric: str, variant: str = "", methods: Sequence[str] = ()
) -> Ranking:
    """Ranks the methods of a group that have scores of 80 % of the instances that any of them has a score of.

    Args:
        source: Finds the group's cells.
        group: The cells.
        metric: Plain name or identity.
        variant: Of the metric; empty: the ranked one.
        methods: Only these, by name or label.

    A control of another method (`control_of`) is ranked only where it is named: it is no method to choose.

    Returns:
        The ranking; its table is in the store's order where no instance has a score of every method.
    """
    stored = read_scores(source, group, metric, variant)
    names = {label: records[0].method for label, records in group.by_method().items()}
    controls = {} if methods else controls_in(group)
    chosen = [m for m in stored.table.methods if not methods or m in methods or names[m] in methods]
    few = _too_few(stored.table.narrow([m for m in chosen if m not in controls]))
    scores = stored.table.narrow([m for m in chosen if m not in controls and m not in few])
    if scores.common.any():
        best_first = np.argsort(scores.order(scores.common_means()), kind="stable")
        scores = scores.narrow([scores.methods[i] for i in best_first])
    ranked = ranked_score(group, metric)
    missing = {**stored.missing, **few, **{m: f"a control of {controls[m]}, without a rank" for m in chosen if m in controls}}
    beside = stored.table.narrow([m for m in chosen if m in controls])
    variant, unit = (variant or ranked.ranked, ranked.unit) if ranked else (variant, "")
    return Ranking(group, metric, variant, unit, scores, missing, beside)


def _too_few(scores: ScoreTable) -> dict[str, str]:
    """Why methods whose scores are of too few of the instances have no rank: on these alone nobody should be ranked."""
    instances = int((~np.isnan(scores.values)).any(0).sum())
    return {
        name: f"{TOO_FEW}: scores of {count} of {instances} instances; a rank needs {100 * LEAST_SHARE:.0f} %"
        for name, count in zip(scores.methods, scores.counts, strict=True)
        if count < LEAST_SHARE * instances
    }


def controls_in(group: ComparableCells) -> dict[str, str]:
    """Label of every control of a group with the method that it is a control of.

    Args:
        group: The cells.
    """
    controlled = {label: controlled_method(records[0].method) for label, records in group.by_method().items()}
    return {label: name for label, name in controlled.items() if name}
