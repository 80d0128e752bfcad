"""The scorecard of methods on each task: what `flowgauge run` prints where no metric is named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ...benchmark.store.record import Record
from ...metrics.scorecard import SCORECARD
from ...metrics.scores import with_interval
from ..stored.comparable_cells import ComparableCells, groups
from ..stored.score_table import CellSource
from ..tables.ranking import Ranking, rank_methods
from .method_comparison import MethodComparison, compare_group
from .paired_tests import sentence

COST = "cost and promises"
PROMISES = "promises"
Section = tuple[str, list[tuple[str, ...]], list[str]]
"""A title, a table whose first row is its head, and lines below it."""


@dataclass(frozen=True, eq=False)
class MetricScores:
    """One metric of a scorecard.

    Attributes:
        ranking: The methods that have a score.
        comparison: These beside one another; None where fewer than two have scores on shared instances.
    """

    ranking: Ranking
    comparison: MethodComparison | None

    @property
    def cells(self) -> dict[str, str]:
        """Mean with interval, and letters of ties, by method."""
        scores, letters = (
            self.ranking.scores,
            self.comparison.letters if self.comparison else [""] * len(self.ranking.scores.methods),
        )
        every = zip(scores.methods, *self.ranking.means.T.tolist(), scores.counts, letters, strict=True)
        return {name: f"{with_interval(mean, low, high, n)} {letter}".rstrip() for name, mean, low, high, n, letter in every}

    @property
    def leaders(self) -> tuple[str, ...]:
        """The best method, and those that cannot be separated from it."""
        names = self.ranking.scores.methods
        if self.comparison is None:
            return names[:1]
        by_pair = self.comparison.by_pair
        return tuple(n for n in names if n == names[0] or not by_pair[frozenset((names[0], n))].separated)

    def line(self) -> str:
        """Who is best, and by how much better than the best of the methods that are separated from it."""
        names, metric, leaders = self.ranking.scores.methods, self.ranking.metric, self.leaders
        if self.comparison is None:
            return f"{metric}: only {names[0]} has a score."
        if len(leaders) == len(names):
            return f"{metric}: no method can be separated from {names[0]}, which has the best mean."
        tied = f"; {_listed(leaders[1:])} cannot be separated from it" if len(leaders) > 1 else ""
        behind = next(name for name in names if name not in leaders)
        pair = self.comparison.by_pair[frozenset((names[0], behind))]
        return f"{sentence(pair, metric, self.ranking.scores.higher_is_better)}{tied}."


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def scorecards(source: CellSource, records: Sequence[Record]) -> Iterator[Section]:
    """A section for every task and group of metrics that has a score.

    Args:
        source: Finds the cells.
        records: Their records.
    """
    for group in groups(records):
        for title, metrics in SCORECARD.items():
            scored = [scores for name in metrics if (scores := _metric_scores(source, group, name)) is not None]
            if title == PROMISES:
                yield _section(group, COST, scored, seconds=True)
            elif scored:
                yield _section(group, title, scored)


def _metric_scores(source: CellSource, group: ComparableCells, metric: str) -> MetricScores | None:
    ranking = rank_methods(source, group, metric)
    if not ranking.scores.methods:
        return None
    return MetricScores(ranking, compare_group(source, group, metric))


def _section(group: ComparableCells, title: str, scored: Sequence[MetricScores], seconds: bool = False) -> Section:
    """A table with a row a method that has a number; who leads by most metrics comes first."""
    cells = {scores.ranking.metric: scores.cells for scores in scored}
    time = {name: _seconds(members) for name, members in group.by_method().items()} if seconds else {}
    methods = [name for name in group.by_method() if time.get(name) or any(name in column for column in cells.values())]
    places = {name: sum(scores.ranking.places.get(name, len(methods)) for scores in scored) for name in methods}
    methods.sort(key=lambda name: places[name])
    heads = [f"{scores.ranking.metric}\n{scores.ranking.variant}, {_direction(scores.ranking)}" for scores in scored]
    rows = [("method", *(["seconds\nan explanation"] if seconds else []), *heads)]
    for name in methods:
        rows.append((name, *([time[name]] if seconds else []), *(column.get(name, "-") for column in cells.values())))
    where = f"{group.model} on {group.task}, {group.instances} instances"
    return f"\n{where}: {title}", rows, [scores.line() for scores in scored]


def _direction(ranking: Ranking) -> str:
    return {True: "more is better", False: "less is better", None: "no direction"}[ranking.scores.higher_is_better]


def _seconds(records: Sequence[Record]) -> str:
    costs = [record.cost.seconds for record in records if record.cost is not None]
    return f"{sum(costs) / len(costs):.3g}" if costs else ""
