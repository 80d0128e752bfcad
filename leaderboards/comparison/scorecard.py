"""The scorecard of methods on each task: what `flowgauge run` prints where no metric is named."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ...benchmark.store.record import Record
from ...metrics.scorecard import OPERATOR_PANEL, SCORECARD, SHIFT
from ...metrics.scores import with_interval
from ..stored.comparable_cells import ComparableCells, find_aggregate, groups, note_lines
from ..stored.score_table import CellSource
from ..tables.ranking import Ranking, rank_methods
from .method_comparison import MethodComparison, compare_group
from .operator_sensitivity import OperatorSensitivity, panels
from .paired_tests import sentence

COST = "cost and promises"
PROMISES = "promises"
NODES = "faithfulness of nodes and heads"
REPEATABILITY = {"batch": "moves with\nthe batch", "seed": "moves with\nthe seed"}
"""Head of the column of each variant of the metric `repeatability`."""
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
        counts = zip(scores.counts, scores.cluster_counts, strict=True)
        every = zip(scores.methods, *self.ranking.means.T.tolist(), counts, letters, strict=True)
        return {
            name: f"{with_interval(mean, low, high, n, clusters=clusters)} {letter}".rstrip()
            for name, mean, low, high, (n, clusters), letter in every
        }

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
                yield _section(group, COST, scored, _costs(group))
            elif scored:
                section = _section(group, title, scored)
                section[2].extend(_shift_lines(group) if title == NODES else ())
                yield section
            if title == NODES:
                yield from (_panel_section(group, panel) for panel in panels(source, group) if panel.metric == OPERATOR_PANEL)


def _shift_lines(group: ComparableCells) -> Iterator[str]:
    """How far the states of reduced models lie from clean ones: without it, no score of a reduced model can be read."""
    found = [find_aggregate(record, SHIFT, variant) for variant in ("mean", "clean") for record in group.records]
    known = [each for each in found if not isinstance(each, str)]
    shifts, clean = ([each.value for each in known if each.variant == variant] for variant in ("mean", "clean"))
    if shifts and clean:
        yield (
            f"{SHIFT}: the states of reduced models lie {min(shifts):.2f} to {max(shifts):.2f} spreads from the nearest clean "
            f"state, by method; those of another whole sentence {clean[0]:.2f}."
        )


def _metric_scores(source: CellSource, group: ComparableCells, metric: str) -> MetricScores | None:
    ranking = rank_methods(source, group, metric)
    if not ranking.scores.methods:
        return None
    return MetricScores(ranking, compare_group(source, group, metric))


def _section(
    group: ComparableCells, title: str, scored: Sequence[MetricScores], costs: Mapping[str, Mapping[str, str]] = {}
) -> Section:
    """A table with a row a method that has a number; who leads by most metrics comes first.

    Args:
        group: The cells.
        title: Of the group of metrics.
        scored: The metrics.
        costs: Further columns, which stand first: what a method has in each, by its head.
    """
    cells = {**costs, **{_head(scores.ranking): scores.cells for scores in scored}}
    methods = [name for name in group.by_method() if any(name in column for column in cells.values())]
    places = {name: sum(scores.ranking.places.get(name, len(methods)) for scores in scored) for name in methods}
    methods.sort(key=lambda name: places[name])
    rows = [("method", *cells), *((name, *(column.get(name, "-") for column in cells.values())) for name in methods)]
    lines = [line for scores in scored for line in (*_references(group, scores.ranking), scores.line())]
    for notes in (group.trained_once, group.training_warnings):
        lines += note_lines({name: note for name, note in notes.items() if scored and name in methods})
    return _titled(group, title), rows, lines


def _references(group: ComparableCells, ranking: Ranking) -> Iterator[str]:
    """What chance and the truth itself get by a metric that knows both."""
    for record in group.records:
        numbers = [find_aggregate(record, ranking.metric, f"{ranking.variant}/{name}") for name in ("chance", "oracle")]
        chance, truth = (None if isinstance(number, str) else number.value for number in numbers)
        if chance is not None and truth is not None:
            yield f"{ranking.metric}: a random order gets {chance:.3f}, the truth itself {truth:.3f}."
            return


def _panel_section(group: ComparableCells, panel: OperatorSensitivity) -> Section:
    """Means under every ablation operator, and how the order depends on it."""
    count, clusters = panel.instances, panel.tables[0].common_clusters
    means = [
        [with_interval(mean, low, high, count, clusters=clusters) for mean, low, high in table.mean_intervals().tolist()]
        for table in panel.tables
    ]
    rows = [("method", *panel.operators), *((name, *row) for name, *row in zip(panel.methods, *means, strict=True))]
    return _titled(group, f"{panel.metric} by what replaces the ablated states"), rows, list(panel.lines())


def _titled(group: ComparableCells, title: str) -> str:
    return f"\n{group.model} on {group.task}, {group.instances} instances: {title}"


def _head(ranking: Ranking) -> str:
    return f"{ranking.metric}\n{ranking.variant}, {_direction(ranking)}"


def _direction(ranking: Ranking) -> str:
    return {True: "more is better", False: "less is better", None: "no direction"}[ranking.scores.higher_is_better]


def _costs(group: ComparableCells) -> dict[str, dict[str, str]]:
    """Seconds, passes and how far explanations move when they should not, by the head of the column; without empty columns."""
    every = group.by_method()
    columns = {
        "seconds\nan explanation": {name: _mean([r.cost.seconds for r in members if r.cost]) for name, members in every.items()},
        "processor s\nan explanation": {
            name: _mean([r.cost.processor for r in members if r.cost and r.cost.processor]) for name, members in every.items()
        },
        "passes\nan explanation": {
            name: _mean([r.cost.passes for r in members if r.cost and r.cost.passes]) for name, members in every.items()
        },
    } | {head: {name: _moved(members, variant) for name, members in every.items()} for variant, head in REPEATABILITY.items()}
    filled = {head: {name: text for name, text in column.items() if text} for head, column in columns.items()}
    return {head: column for head, column in filled.items() if column}


def _mean(numbers: Sequence[float]) -> str:
    return f"{sum(numbers) / len(numbers):.3g}" if numbers else ""


def _moved(records: Sequence[Record], variant: str) -> str:
    """The largest over seeds, as it is the largest over instances."""
    found = (find_aggregate(record, "repeatability", variant) for record in records)
    values = [aggregate.value for aggregate in found if not isinstance(aggregate, str)]
    return f"{max(values):.4f}" if values else ""
