"""The ranked tables of a run's cells: the numbers that `flowgauge compare` prints, metric by metric."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ..benchmark.store.record import Record
from ..benchmark.store.store import Store
from ..leaderboards.comparison.method_comparison import MethodComparison, compare_group
from ..leaderboards.comparison.operator_sensitivity import panels
from ..leaderboards.stored.comparable_cells import groups
from ..leaderboards.stored.score_table import metrics_of
from ..leaderboards.tables.columns import RANKED
from ..leaderboards.tables.ranking import Ranking, rank_methods
from ..metrics.scores import with_interval


@dataclass(frozen=True, eq=False)
class RankedMetric:
    """The methods of one model and task on one metric.

    Attributes:
        metric: The metric's name.
        ranking: The methods that have a score, best first, with their means.
        comparison: The same with ranks and ties; None where fewer than two have scores on shared instances.
    """

    metric: str
    ranking: Ranking
    comparison: MethodComparison | None

    @property
    def where(self) -> str:
        """The model and the task, with what else tells these cells from others, such as the sample."""
        group = self.ranking.group
        return f"{group.model} on {group.task}{f' ({group.note})' if group.note else ''}"

    def rows(self) -> list[tuple[str, ...]]:
        """A head, then a row a method, as `flowgauge compare` prints them."""
        if self.comparison is not None:
            return self.comparison.table()
        scores, head = self.ranking.scores, ("method", "n", f"{self.metric}\n{self.ranking.variant}")
        every = zip(scores.methods, scores.counts, *self.ranking.means.T.tolist(), strict=True)
        rows = [(name, str(count), with_interval(mean, low, high, count)) for name, count, mean, low, high in every]
        return [head, *rows]

    def lines(self) -> list[str]:
        """What `flowgauge compare` prints below the table; why methods have no score."""
        if self.comparison is not None:
            return [line for line in self.comparison.text()[2] if line]
        return [f"{name}: {reason}" for name, reason in self.ranking.missing.items()]


def metrics_in(records: Sequence[Record]) -> list[str]:
    """The metrics that cells have a score of: those of the most cells first, among these the one that tables rank by."""
    scored = [score.name for record in records for score in record.scores.values() if score.status == "done"]
    return sorted(metrics_of(groups(records)), key=lambda name: (-scored.count(name), name != RANKED[0]))


def rankings(store: Store, records: Sequence[Record], metric: str) -> list[RankedMetric]:
    """The methods of every model and task on a metric; what has no score of it is left out.

    Args:
        store: Has the cells.
        records: Their records.
        metric: Plain name.
    """
    ranked = []
    for group in groups(records):
        ranking, comparison = rank_methods(store, group, metric), compare_group(store, group, metric)
        if comparison is not None:
            under_operators = tuple(panel for panel in panels(store, group) if panel.metric == metric)
            comparison = replace(comparison, panels=under_operators)
        if ranking.scores.methods or ranking.missing:
            ranked.append(RankedMetric(metric, ranking, comparison))
    return ranked
