"""What the site shows of a board, computed once: a table for every group and metric, and the overall order. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float
from scipy.stats import kendalltau

from ...benchmark.store.record import Record
from ..stored.comparable_cells import ComparableCells, find_aggregate, groups
from ..stored.score_table import ScoreTable, metrics_of
from ..submission.board_reader import BoardReader
from ..submission.trust import Trust, weakest
from ..tables.columns import RANKED
from .method_comparison import MethodComparison, compare_group
from .operator_sensitivity import OperatorSensitivity, panels
from .paired_tests import ALPHA, MeanRanks, mean_intervals, narrow, order, overall

EVERY_PAIR = 25
"""Tables of more methods give the intervals of neighbours only."""


@dataclass(frozen=True)
class RankedRow:
    """A method's row in a table.

    Attributes:
        label: The method, with the settings that tell it from others of its name.
        method: Its plain name.
        rank, rank_low, rank_high: On the instances that all methods share; with the 95 % interval.
        mean, low, high: On its own instances; with the 95 % interval.
        count: Of these instances.
        ties: Letters of the runs of methods it cannot be told apart in.
        needed: Instances that would tell it from the method above it; NaN for the first, and where that is known already.
        seconds: An explanation; NaN where unknown.
        seeds: Cells that were averaged.
        trust: The least trusted of them.
    """

    label: str
    method: str
    rank: float
    rank_low: float
    rank_high: float
    mean: float
    low: float
    high: float
    count: int
    ties: str
    needed: float
    seconds: float
    seeds: int
    trust: Trust


@dataclass(frozen=True, eq=False)
class RankedTable:
    """One metric's table of a group.

    Attributes:
        side: Where its numbers are from.
        lines: Best first.
        missing: Why other methods have no score.
        beside: The whole model and chance, where the metric has them.
    """

    side: MethodComparison
    lines: tuple[RankedRow, ...]
    missing: dict[str, str]
    beside: dict[str, float]

    @property
    def key(self) -> str:
        """`<model>/<task>/<metric>`."""
        return f"{self.side.group.model}/{self.side.group.task}/{self.side.metric}"


@dataclass(frozen=True, eq=False)
class TaskBoard:
    """Everything about one group.

    Attributes:
        group: The cells.
        standings: By metric; the ranked one first.
        unranked: Why other metrics have no table.
        panels: Metrics that have scores under several ablation operators.
    """

    group: ComparableCells
    standings: dict[str, RankedTable]
    unranked: dict[str, str]
    panels: tuple[OperatorSensitivity, ...] = ()

    @property
    def first(self) -> RankedTable | None:
        """The table of the metric that stands for the task."""
        return next(iter(self.standings.values()), None)

    @property
    def leaders(self) -> tuple[str, ...]:
        """Methods that share the first rank of that table."""
        lines = self.first.lines if self.first else ()
        return tuple(line.label for line in lines if line.rank == lines[0].rank)


@dataclass(frozen=True, eq=False)
class ModelBoard:
    """The overall order of the methods on one model.

    Attributes:
        model: Its name.
        fields: Its groups.
        tables: What the overall order may rest on: every table of the largest run of each task whose metric has a direction.
        default: Which of them count unless a reader says otherwise.
        overall: Mean ranks over these.
    """

    model: str
    fields: tuple[TaskBoard, ...]
    tables: tuple[RankedTable, ...]
    default: tuple[bool, ...]
    overall: MeanRanks

    @cached_property
    def counted(self) -> tuple[RankedTable, ...]:
        """The tables that count."""
        return tuple(t for t, wanted in zip(self.tables, self.default, strict=True) if wanted)

    @property
    def best_first(self) -> list[int]:
        """Rows of the overall order."""
        return [int(i) for i in np.argsort(self.overall.rank, kind="stable")]

    @cached_property
    def places(self) -> list[int]:
        """Place of each method by mean rank; equal ones share the better: 1, 1, 3."""
        return [int(1 + (self.overall.rank < rank - 1e-12).sum()) for rank in self.overall.rank]

    @cached_property
    def method_names(self) -> dict[str, str]:
        """The plain name of the method behind each label."""
        return {line.label: line.method for table in self.tables for line in table.lines}

    @cached_property
    def ties(self) -> list[tuple[str, ...]]:
        """Runs of methods of which none is ahead of another in 97.5 % of the resamples; each as long as it can be."""
        rows, runs = self.best_first, list[list[int]]()
        alike = (self.overall.beats > ALPHA / 2) & (self.overall.beats < 1 - ALPHA / 2)
        for start in range(len(rows)):
            stop = start + 1
            while stop < len(rows) and alike[rows[stop], rows[start:stop]].all():
                stop += 1
            if stop - start > 1 and not (runs and set(rows[start:stop]) <= set(runs[-1])):
                runs.append(rows[start:stop])
        return [tuple(self.overall.methods[i] for i in run) for run in runs]

    @cached_property
    def table_ranks(self) -> Float[np.ndarray, "tables methods"]:
        """Rank of the overall methods among themselves in each table that counts."""
        shared = [narrow(t.side.scored, self.overall.methods) for t in self.counted]
        return np.array([order(t, t.values[:, t.common].mean(1)) for t in shared]).reshape(len(shared), -1)

    def left_out(self, by: str) -> list[OrderChange]:
        """How the order changes without one task or one metric (`by`), where more than one counts."""
        names = [t.side.group.task if by == "task" else t.side.metric for t in self.counted]
        kinds = list(dict.fromkeys(names))
        if len(kinds) < 2 or len(self.overall.methods) < 2:
            return []
        return [self._without(kind, np.array([name != kind for name in names])) for kind in kinds]

    def _without(self, kind: str, kept: np.ndarray) -> OrderChange:
        return _changed(kind, self.overall.methods, self.overall.rank, self.table_ranks[kept].mean(0))

    def under_operators(self) -> list[OrderChange]:
        """How the order by a metric changes under another ablation operator: mean ranks over the tasks that have both."""
        found: dict[str, list[tuple[OperatorSensitivity, int]]] = {}
        for field in {f.group.task: f for f in reversed(self.fields)}.values():  # the largest run of each task comes first
            for panel in field.panels:
                for number, operator in enumerate(panel.operators[1:], start=1):
                    settings = f" ({panel.settings})" if panel.settings else ""
                    name = f"{panel.metric}{settings}: {operator} for {panel.operators[0]}"
                    found.setdefault(name, []).append((panel, number))
        made = [_operator_changed(name, members) for name, members in found.items()]
        return sorted((change for change in made if change is not None), key=lambda change: change.name)

    def methods_without(self) -> dict[str, str]:
        """Why methods of this model are not in the overall order."""
        found: dict[str, str] = {}
        for standing in self.counted:
            where = f"{standing.side.metric} on {standing.side.group.task}"
            known = set(self.overall.methods)
            labels = [*standing.side.scored.methods, *standing.missing, *standing.side.group.methods()]
            for label in dict.fromkeys(labels):
                if label not in known and label not in standing.side.scored.methods:
                    found.setdefault(label, f"{where}: {standing.missing.get(label, 'not run')}")
        return found

    def accuracy(self, label: str) -> float:
        """The mean of the ranked metric over the tasks that count; NaN where a method lacks one."""
        found = [t for t in self.counted if t.side.metric == self.counted[0].side.metric]
        means = [next((line.mean for line in t.lines if line.label == label), np.nan) for t in found]
        return float(np.mean(means)) if means else float("nan")

    def seconds(self, label: str) -> float:
        """Mean seconds an explanation over the tasks that count; NaN where unknown."""
        found = {t.side.group.task: line.seconds for t in self.counted for line in t.lines if line.label == label}
        known = [s for s in found.values() if s == s]
        return float(np.mean(known)) if known else float("nan")

    def trust(self, label: str) -> Trust:
        """The least trusted of the cells behind a row."""
        return weakest([line.trust for t in self.counted for line in t.lines if line.label == label])


@dataclass(frozen=True)
class OrderChange:
    """The order without one task or metric, or under another operator.

    Attributes:
        name: What is left out, or otherwise.
        tau: Kendall's tau-b of the mean ranks with and without it.
        first: Who is first then.
        moves: Method, its place before and after; the largest moves first.
    """

    name: str
    tau: float
    first: tuple[str, ...]
    moves: tuple[tuple[str, float, float], ...]


def _changed(
    name: str, methods: Sequence[str], before: Float[np.ndarray, " methods"], after: Float[np.ndarray, " methods"]
) -> OrderChange:
    """What becomes of an order by mean ranks."""
    first = tuple(m for m, r in zip(methods, after, strict=True) if r == after.min())
    then, now = order(_plain(before), before), order(_plain(after), after)
    moves = [(m, float(a), float(b)) for m, a, b in zip(methods, then, now, strict=True) if a != b]
    moves.sort(key=lambda move: -abs(move[1] - move[2]))
    return OrderChange(name, float(kendalltau(before, after).statistic), first, tuple(moves))


def _operator_changed(name: str, members: Sequence[tuple[OperatorSensitivity, int]]) -> OrderChange | None:
    """Mean ranks under the default against those under another operator, of the methods that all panels have."""
    methods = [m for m in members[0][0].methods if all(m in panel.methods for panel, _ in members)]
    if len(methods) < 2:
        return None
    rows = [[panel.methods.index(m) for m in methods] for panel, _ in members]
    orders = [
        np.mean([order(p.tables[0], np.round(p.means[at, r], 12)) for (p, at), r in zip(chosen, rows, strict=True)], 0)
        for chosen in ([(panel, 0) for panel, _ in members], members)
    ]
    return _changed(name, methods, *orders)


def _plain(values: Float[np.ndarray, " methods"]) -> ScoreTable:
    """Numbers to be ordered, small ones first."""
    return ScoreTable(tuple(map(str, range(len(values)))), values[:, None], ("",), False)


def fields_of(shelf: BoardReader) -> list[TaskBoard]:
    """Everything about every group of a board, in order of model and task."""
    return [_field(shelf, group) for group in groups(shelf.records)]


def model_boards(fields: Sequence[TaskBoard]) -> list[ModelBoard]:
    """The overall order on every model."""
    by_model: dict[str, list[TaskBoard]] = {}
    for field in fields:
        by_model.setdefault(field.group.model, []).append(field)
    return [_model_board(model, members) for model, members in by_model.items()]


def _field(shelf: BoardReader, group: ComparableCells) -> TaskBoard:
    standings: dict[str, RankedTable] = {}
    unranked: dict[str, str] = {}
    for metric in sorted(metrics_of([group]), key=lambda name: name != RANKED[0]):
        size = len(set(group.methods()))
        side = compare_group(shelf, group, metric, every_interval=size <= EVERY_PAIR)
        if side is None:
            unranked[metric] = "fewer than two methods have scores on shared instances"
        else:
            standings[metric] = _standing(shelf, side)
    return TaskBoard(group, standings, unranked, tuple(panels(shelf, group)))


def _standing(shelf: BoardReader, side: MethodComparison) -> RankedTable:
    cells: dict[str, list[Record]] = {}
    for label, record in zip(side.group.methods(), side.group.records, strict=True):
        cells.setdefault(label, []).append(record)
    runs, names, lines = [run for run in side.ties if len(run) > 1], side.scored.methods, list[RankedRow]()
    bounds, counts = mean_intervals(side.scored), (~np.isnan(side.scored.values)).sum(1)
    for n, label in enumerate(names):
        above = side.by_pair[frozenset((label, names[n - 1]))] if n else None
        told = above is None or above.p_holm < ALPHA
        costs = [record.cost.seconds for record in cells[label] if record.cost is not None]
        mean, low, high = bounds[n].tolist()
        line = RankedRow(
            label=label, method=cells[label][0].method, rank=float(side.ranks.rank[n]), rank_low=float(side.ranks.low[n]),
            rank_high=float(side.ranks.high[n]), mean=mean, low=low, high=high, count=int(counts[n]),
            ties="".join(letter(at) for at, run in enumerate(runs) if label in run),
            needed=float("nan") if above is None or told else float(np.ceil(above.needed)),
            seconds=float(np.mean(costs)) if costs else float("nan"), seeds=len(cells[label]),
            trust=weakest([shelf.trust(r) for r in cells[label]]),
        )  # fmt: skip
        lines.append(line)
    return RankedTable(side, tuple(lines), side.missing, _beside(side))


def letter(at: int) -> str:
    """a to z, then a2, b2, ..."""
    return chr(ord("a") + at % 26) + (str(at // 26 + 1) if at >= 26 else "")


def _beside(side: MethodComparison) -> dict[str, float]:
    """The unreduced model and chance, from the first cell that has them."""
    found: dict[str, float] = {}
    for variant in ("original", "chance"):
        for record in side.group.records:
            aggregate = find_aggregate(record, side.metric, variant)
            if not isinstance(aggregate, str):
                found[variant] = aggregate.value
                break
    return found


def _model_board(model: str, fields: Sequence[TaskBoard]) -> ModelBoard:
    largest: dict[str, TaskBoard] = {}
    for field in fields:
        largest.setdefault(field.group.task, field)
    tables = tuple(s for f in largest.values() for s in f.standings.values() if s.side.scored.higher_is_better is not None)
    default = _default(tables)
    counted = [t.side for t, wanted in zip(tables, default, strict=True) if wanted]
    empty = ScoreTable((), np.zeros((0, 0)), ())
    ranked = overall([s.scored for s in counted], [s.group.task for s in counted]) if counted else overall([empty])
    return ModelBoard(model, tuple(fields), tables, default, ranked)


def _default(tables: Sequence[RankedTable]) -> tuple[bool, ...]:
    """Tables of the ranked metric, and of every other metric that all methods with the ranked one on all tasks have."""
    if not tables:
        return ()
    main = RANKED[0] if any(t.side.metric == RANKED[0] for t in tables) else tables[0].side.metric
    members = [set(t.side.scored.methods) for t in tables if t.side.metric == main]
    everywhere = set.intersection(*members)
    whole = {t.side.metric for t in tables} - {t.side.metric for t in tables if not everywhere <= set(t.side.scored.methods)}
    return tuple(t.side.metric in whole and _shares(t, everywhere) for t in tables)


def _shares(table: RankedTable, methods: set[str]) -> bool:
    """Whether there is an instance that all these methods have a score of."""
    return len(methods) > 1 and bool(narrow(table.side.scored, sorted(methods)).common.any())
