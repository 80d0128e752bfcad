"""A table for every group and metric of a board, computed once for the site and the exports."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...benchmark.store.record import Record
from ..stored.comparable_cells import ComparableCells, groups
from ..stored.score_table import metrics_of
from ..submission.board_reader import BoardReader
from ..submission.trust import Trust, weakest
from ..tables.columns import RANKED, REFERENCE_ROWS
from .method_comparison import MethodComparison, compare_group
from .operator_sensitivity import OperatorSensitivity, panels


@dataclass(frozen=True)
class RankedRow:
    """A method's row in a table.

    Attributes:
        label: The method, with the settings in which it differs from others of its name.
        method: Its plain name.
        rank, rank_low, rank_high: Rank on the instances that all methods share, with the ranks that separated pairs leave it.
        mean, low, high: Mean over its own instances, with its 95 % interval.
        count: How many instances of its own.
        ties: Letters; methods that share one cannot be separated.
        needed: Instances in all that would separate it from the method above it; NaN for the first, and where it is separated.
        seconds: Seconds an explanation; NaN where unknown.
        passes: Forward passes of one sentence that an explanation takes; NaN where unknown.
        seeds: Cells that were averaged.
        trust: The level of the least trusted of these cells.
        trained_once: What the interval does not cover, where the method was trained with one seed.
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
    passes: float
    seeds: int
    trust: Trust
    trained_once: str = ""


@dataclass(frozen=True, eq=False)
class RankedTable:
    """One metric's table of a group.

    Attributes:
        comparison: The comparison that its numbers are from.
        rows: One a method, best first.
        beside: Scores of the whole model and of chance, where the metric has them, and of controls, which have no rank.
    """

    comparison: MethodComparison
    rows: tuple[RankedRow, ...]
    beside: dict[str, float]

    @property
    def trained_once(self) -> dict[str, str]:
        """A note on each method that was trained with one seed."""
        return {row.label: row.trained_once for row in self.rows if row.trained_once}

    @property
    def key(self) -> str:
        """`<model>/<task>/<metric>`: what the table is of, in names of files and where orders are told apart by their tables.

        Two runs of a task, on other instances say, have tables of the same key; the group's note tells them apart.
        """
        return f"{self.comparison.group.model}/{self.comparison.group.task}/{self.comparison.metric}"


@dataclass(frozen=True, eq=False)
class TaskBoard:
    """Everything about one group.

    Attributes:
        group: The cells.
        tables: Tables by metric; the ranked metric comes first.
        unranked: Why other metrics have no table.
        panels: Metrics that have scores under several ablation operators.
        order: Metrics of this group that order the board, as its ledger states; empty where it does not.
    """

    group: ComparableCells
    tables: dict[str, RankedTable]
    unranked: dict[str, str]
    panels: tuple[OperatorSensitivity, ...] = ()
    order: tuple[str, ...] = ()

    @property
    def first(self) -> RankedTable | None:
        """The table of the metric that stands for the task."""
        return next(iter(self.tables.values()), None)

    @property
    def leaders(self) -> tuple[str, ...]:
        """Methods that share the first rank of that table."""
        rows = self.first.rows if self.first else ()
        return tuple(row.label for row in rows if row.rank == rows[0].rank)


def read_task_boards(reader: BoardReader, model: str | None = None) -> list[TaskBoard]:
    """The tables of every group of a board, in order of model and task.

    Args:
        reader: The board, from `board_reader.open_board`.
        model: Only the groups of this model; None: all.
    """
    return [_task_board(reader, group) for group in groups(reader.records) if model in (None, group.model)]


def _task_board(reader: BoardReader, group: ComparableCells) -> TaskBoard:
    tables: dict[str, RankedTable] = {}
    unranked: dict[str, str] = {}
    for metric in sorted(metrics_of([group]), key=lambda name: name != RANKED[0]):
        comparison = compare_group(reader, group, metric)
        if comparison is None:
            unranked[metric] = "fewer than two methods have scores on shared instances"
        else:
            tables[metric] = _ranked_table(reader, comparison)
    return TaskBoard(group, tables, unranked, tuple(panels(reader, group)), reader.order.get(group.name, ()))


def _ranked_table(reader: BoardReader, comparison: MethodComparison) -> RankedTable:
    cells, names = comparison.group.by_method(), comparison.scores.methods
    rows = [_row(reader, comparison, index, cells[label]) for index, label in enumerate(names)]
    aggregates = {variant: comparison.group.first_aggregate(comparison.metric, variant) for variant in REFERENCE_ROWS}
    beside = {variant: aggregate.value for variant, aggregate in aggregates.items() if aggregate is not None}
    controls = zip(comparison.controls.methods, comparison.control_means[:, 0].tolist(), strict=True)
    beside |= {f"{label}, {comparison.missing[label]}": mean for label, mean in controls}
    return RankedTable(comparison, tuple(rows), beside)


def _row(reader: BoardReader, comparison: MethodComparison, index: int, records: Sequence[Record]) -> RankedRow:
    """The row of the method of an index, from its cells."""
    names = comparison.scores.methods
    above = comparison.by_pair[frozenset((names[index], names[index - 1]))] if index else None
    costs = [record.cost.seconds for record in records if record.cost is not None]
    passes = [record.cost.passes for record in records if record.cost is not None and record.cost.passes is not None]
    mean, low, high = comparison.means[index].tolist()
    return RankedRow(
        label=names[index], method=records[0].method, rank=float(comparison.ranks.rank[index]),
        rank_low=float(comparison.ranks.low[index]), rank_high=float(comparison.ranks.high[index]), mean=mean, low=low, high=high,
        count=comparison.scores.counts[index], ties=comparison.letters[index],
        needed=float("nan") if above is None else above.needed,
        seconds=float(np.mean(costs)) if costs else float("nan"),
        passes=float(np.mean(passes)) if passes else float("nan"), seeds=len(records),
        trust=weakest([reader.trust(record) for record in records]),
        trained_once=comparison.group.trained_once.get(names[index], ""),
    )  # fmt: skip
