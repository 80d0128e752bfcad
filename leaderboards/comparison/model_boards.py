"""The overall order of the methods on every model of a board, computed once for the site and the exports."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float
from scipy.stats import kendalltau

from ...metrics.statistics.letters import letters
from ...metrics.statistics.ordering import OverallOrder, RankedSample, overall_order, ranks_of
from ...metrics.statistics.units import moments
from ..submission.trust import Trust, weakest
from ..tables.columns import RANKED
from .operator_sensitivity import OperatorSensitivity
from .task_boards import RankedRow, RankedTable, TaskBoard

ORDERING = (RANKED[0], "retention_curve", "deletion_curve")
"""Metrics that order a board whose ledger does not say which do (docs/adr/0018-one-ranking.md)."""
FURTHER = {"scores of words": ("comprehensiveness", "sufficiency"), "known truth": ("ground_truth", "pointing")}
"""Metrics of the orders beside the main one, by what these read: methods that score no hidden states have a place there."""


@dataclass(frozen=True, eq=False)
class ModelBoard:
    """The overall order of the methods on one model.

    Attributes:
        model: As in its groups.
        task_boards: Its groups.
        tables: What the overall order may rest on: every table of one run of each task whose metric has a direction.
        default: Which of them count unless a reader says otherwise.
        methods: Labels of the methods that all tables which count have.
        overall: Their mean ranks over these tables; None where no table counts.
    """

    model: str
    task_boards: tuple[TaskBoard, ...]
    tables: tuple[RankedTable, ...]
    default: tuple[bool, ...]
    methods: tuple[str, ...]
    overall: OverallOrder | None

    @cached_property
    def counted(self) -> tuple[RankedTable, ...]:
        """The tables that count."""
        return tuple(t for t, counts in zip(self.tables, self.default, strict=True) if counts)

    @property
    def stated(self) -> bool:
        """Whether the board's ledger states which tables count."""
        return any(board.order for board in self.task_boards)

    @property
    def best_first(self) -> list[int]:
        """Indices of the methods in the overall order."""
        return [int(i) for i in np.argsort(self._ordered, kind="stable")]

    @cached_property
    def _ordered(self) -> Float[np.ndarray, " methods"]:
        """Ranks of the mean ranks."""
        return np.zeros(0) if self.overall is None else ranks_of(self.overall.rank, False)

    @cached_property
    def places(self) -> list[int]:
        """Place of each method by mean rank; equal ones share the better: 1, 1, 3."""
        return [int(1 + (self._ordered < rank).sum()) for rank in self._ordered]

    @cached_property
    def method_names(self) -> dict[str, str]:
        """The plain name of the method behind each label."""
        return {row.label: row.method for table in self.tables for row in table.rows}

    @cached_property
    def letters(self) -> list[str]:
        """Letters of each method: two share one if and only if they are not separated over all tables."""
        if self.overall is None:
            return []
        in_order = letters(self.overall.separated[np.ix_(self.best_first, self.best_first)])
        return [in_order[self.best_first.index(index)] for index in range(len(self.methods))]

    @cached_property
    def ties(self) -> list[tuple[str, ...]]:
        """Neighbours in the order, two or more, of which no two are separated; each run as long as it can be."""
        if self.overall is None:
            return []
        rows, runs = self.best_first, list[list[int]]()
        for start in range(len(rows)):
            stop = start + 1
            while stop < len(rows) and not self.overall.separated[rows[stop], rows[start:stop]].any():
                stop += 1
            if stop - start > 1 and not (runs and set(rows[start:stop]) <= set(runs[-1])):
                runs.append(rows[start:stop])
        return [tuple(self.methods[i] for i in run) for run in runs]

    @cached_property
    def with_one_unit(self) -> list[str]:
        """Tables of one instance or cluster: where one counts, nothing says how sure the order is."""
        tables = [t for t in self.counted if t.comparison.scores.narrow(self.methods).units().sums.shape[1] < 2]
        return [f"{t.comparison.metric} on {t.comparison.group.task}" for t in tables]

    @cached_property
    def without_spread(self) -> list[str]:
        """Tables in which a method has one score on all instances: intervals of mean ranks are then too short."""
        return [
            f"{t.comparison.metric} on {t.comparison.group.task}"
            for t in self.counted
            if len((units := t.comparison.scores.narrow(self.methods).units()).sizes) > 1 and not moments(units).variance.all()
        ]

    @cached_property
    def table_ranks(self) -> Float[np.ndarray, "tables methods"]:
        """Rank of the overall methods among themselves in each table that counts."""
        shared = [t.comparison.scores.narrow(self.methods) for t in self.counted]
        return np.array([t.order(t.common_means()) for t in shared]).reshape(len(shared), -1)

    def left_out(self, by: str) -> list[OrderChange]:
        """How the order changes without one task or one metric (`by`), where more than one counts."""
        names = [t.comparison.group.task if by == "task" else t.comparison.metric for t in self.counted]
        kinds = list(dict.fromkeys(names))
        if len(kinds) < 2 or len(self.methods) < 2:
            return []
        without = {kind: self.table_ranks[[name != kind for name in names]].mean(0) for kind in kinds}
        return [_changed(kind, self.methods, self.table_ranks.mean(0), ranks) for kind, ranks in without.items()]

    def under_operators(self) -> list[OrderChange]:
        """How the order by a metric changes under another ablation operator: mean ranks over the tasks that have both."""
        panels_of: dict[str, list[tuple[OperatorSensitivity, int]]] = {}
        for task_board in _one_a_task(self.task_boards):
            for panel in task_board.panels:
                for index, operator in enumerate(panel.operators[1:], start=1):
                    settings = f" ({panel.settings})" if panel.settings else ""
                    name = f"{panel.metric}{settings}: {operator} for {panel.operators[0]}"
                    panels_of.setdefault(name, []).append((panel, index))
        changes = [_operator_changed(name, members) for name, members in panels_of.items()]
        return sorted((change for change in changes if change is not None), key=lambda change: change.name)

    def methods_without(self) -> dict[str, str]:
        """Why methods of this model are not in the overall order."""
        reasons: dict[str, str] = {}
        for label in dict.fromkeys(label for board in self.task_boards for label in board.group.methods()):
            lacking = (t.comparison for t in self.counted if label not in t.comparison.scores.methods)
            first = None if label in self.methods else next(lacking, None)
            if first is not None:
                reasons[label] = f"{first.metric} on {first.group.task}: {first.missing.get(label, 'not run')}"
        return reasons

    def accuracy(self, label: str) -> float:
        """The mean of the ranked metric over the tasks that count; NaN where a method lacks one."""
        tables = [t for t in self.counted if t.comparison.metric == self.counted[0].comparison.metric]
        means = [next((row.mean for row in t.rows if row.label == label), np.nan) for t in tables]
        return float(np.mean(means)) if means else float("nan")

    def seconds(self, label: str) -> float:
        """Mean seconds an explanation over the tasks that count; NaN where unknown."""
        return self._cost(label, lambda row: row.seconds)

    def passes(self, label: str) -> float:
        """Mean forward passes an explanation over the tasks that count; NaN where unknown."""
        return self._cost(label, lambda row: row.passes)

    def _cost(self, label: str, of: Callable[[RankedRow], float]) -> float:
        by_task = {t.comparison.group.task: of(row) for t in self.counted for row in t.rows if row.label == label}
        known = [cost for cost in by_task.values() if cost == cost]
        return float(np.mean(known)) if known else float("nan")

    @cached_property
    def trained_once(self) -> dict[str, str]:
        """A note on each method of the order that was trained with one seed."""
        noted = {label: note for table in self.counted for label, note in table.trained_once.items()}
        return {label: noted[label] for label in self.methods if label in noted}

    def trust(self, label: str) -> Trust:
        """The level of the least trusted of the cells behind a row."""
        return weakest([row.trust for t in self.counted for row in t.rows if row.label == label])


@dataclass(frozen=True)
class OrderChange:
    """The order without one task or metric, or under another operator.

    Attributes:
        name: What is left out, or the operator that takes the place of the default.
        tau: Kendall's tau-b of the mean ranks before and after.
        first: Methods that are first afterwards.
        moves: Method, its place before and after; the largest moves first.
    """

    name: str
    tau: float
    first: tuple[str, ...]
    moves: tuple[tuple[str, float, float], ...]


def _changed(
    name: str, methods: Sequence[str], before: Float[np.ndarray, " methods"], after: Float[np.ndarray, " methods"]
) -> OrderChange:
    """How an order by mean ranks changes."""
    then, now = ranks_of(before, False), ranks_of(after, False)
    first = tuple(m for m, r in zip(methods, now, strict=True) if r == now.min())
    moves = [(m, float(a), float(b)) for m, a, b in zip(methods, then, now, strict=True) if a != b]
    moves.sort(key=lambda move: -abs(move[1] - move[2]))
    return OrderChange(name, float(kendalltau(then, now).statistic), first, tuple(moves))


def _operator_changed(name: str, members: Sequence[tuple[OperatorSensitivity, int]]) -> OrderChange | None:
    """Mean ranks under the default against those under another operator, of the methods that all panels have."""
    methods = [m for m in members[0][0].methods if all(m in panel.methods for panel, _ in members)]
    if len(methods) < 2:
        return None
    rows = [[panel.methods.index(m) for m in methods] for panel, _ in members]
    orders = [
        np.mean([p.tables[0].order(p.means[index, r]) for (p, index), r in zip(chosen, rows, strict=True)], 0)
        for chosen in ([(panel, 0) for panel, _ in members], members)
    ]
    return _changed(name, methods, *orders)


def model_boards(task_boards: Sequence[TaskBoard]) -> list[ModelBoard]:
    """The overall order on every model.

    Args:
        task_boards: The groups of a board.
    """
    by_model: dict[str, list[TaskBoard]] = {}
    for task_board in task_boards:
        by_model.setdefault(task_board.group.model, []).append(task_board)
    return [_model_board(model, members) for model, members in by_model.items()]


def further_orders(board: ModelBoard) -> dict[str, ModelBoard]:
    """The orders beside a model's main one, by what their metrics read (`FURTHER`); those that no two methods have are left out.

    Args:
        board: The model's order.
    """
    found = {}
    for name, metrics in FURTHER.items():
        other = _model_board(board.model, board.task_boards, metrics)
        if len(other.methods) > 1 and [t.key for t in other.counted] != [t.key for t in board.counted]:
            found[name] = other
    return found


def _model_board(model: str, task_boards: Sequence[TaskBoard], metrics: Sequence[str] = ()) -> ModelBoard:
    """The order by some metrics; without any, by those that the board states or that are common."""
    chosen = [
        (board, table)
        for board in _one_a_task(task_boards)
        for table in board.tables.values()
        if table.comparison.scores.higher_is_better is not None
    ]
    tables = tuple(table for _, table in chosen)
    default = _counting(chosen, metrics)
    counted = [t.comparison for t, counts in zip(tables, default, strict=True) if counts]
    methods = tuple(m for m in counted[0].scores.methods if all(m in s.scores.methods for s in counted)) if counted else ()
    samples = []
    for comparison in counted:
        scores = comparison.scores.narrow(methods)
        stands = comparison.metric == counted[0].metric
        samples.append(RankedSample(scores.units(), comparison.group.task, scores.higher_is_better, stands, scores.unit_names()))
    return ModelBoard(model, tuple(task_boards), tables, default, methods, overall_order(samples) if samples else None)


def _one_a_task(task_boards: Sequence[TaskBoard]) -> list[TaskBoard]:
    """Of several runs of a task the one that the board states, else the one with most methods, else the largest."""
    by_task: dict[str, list[TaskBoard]] = {}
    for board in task_boards:
        by_task.setdefault(board.group.task, []).append(board)
    return [
        max(runs, key=lambda run: (bool(run.order), max((len(t.rows) for t in run.tables.values()), default=0)))
        for runs in by_task.values()
    ]


def _counting(chosen: Sequence[tuple[TaskBoard, RankedTable]], metrics: Sequence[str]) -> tuple[bool, ...]:
    """Which tables order a model: the common ones of some metrics; without any, those that the board states, else common ones.

    A table of `ORDERING` with scores of more than half as many methods as any table stands for all others.
    """
    tables = [table for _, table in chosen]
    if metrics:
        counted = _common_tables([table for table in tables if table.comparison.metric in metrics])
    elif any(board.order for board, _ in chosen):
        counted = [table for board, table in chosen if table.comparison.metric in board.order]
    else:
        most = max((len(table.rows) for table in tables), default=0)
        listed = [t for t in tables if t.comparison.metric in ORDERING and 2 * len(t.rows) > most]
        counted = _common_tables(listed or tables)
    members = [set(table.comparison.scores.methods) for table in counted]
    everywhere = set.intersection(*members) if members else set()
    return tuple(table in counted and _shares(table, everywhere) for table in tables)


def _common_tables(tables: Sequence[RankedTable]) -> list[RankedTable]:
    """The largest table, and each further one that leaves more than half of its methods in the order.

    So a single method that comes later does not change which tables count for the others, whatever it has or lacks.
    """
    common: list[RankedTable] = []
    ranked = set[str]()
    for table in sorted(tables, key=lambda t: -len(t.rows)):
        left = ranked & set(table.comparison.scores.methods) if common else set(table.comparison.scores.methods)
        if not common or 2 * len(left) > len(common[0].rows):
            common.append(table)
            ranked = left
    return common


def _shares(table: RankedTable, methods: set[str]) -> bool:
    """Whether there is an instance that all these methods have a score of."""
    return len(methods) > 1 and bool(table.comparison.scores.narrow(sorted(methods)).common.any())
