"""The tables of a store: methods ranked for each task, and the published table's shape. No torch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ...benchmark.external.folder_format import is_outside
from ...benchmark.store.record import Record
from ..stored.comparable_cells import ComparableCells, find_aggregate, groups
from .columns import ACCURACY, COLUMNS, PAPER_ROWS, PAPER_TASKS, REFERENCE_ROWS, Column, PaperRow


@dataclass(frozen=True)
class TableEntry:
    """One number with its 95 % interval, or the reason why there is none (then `value` is NaN).

    Attributes:
        spread: Standard deviation over draws, None where nothing is drawn.
    """

    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    count: int = 0
    undefined: int = 0
    spread: float | None = None
    reason: str = ""

    @property
    def known(self) -> bool:
        """Whether there is a number."""
        return not math.isnan(self.value)


@dataclass(frozen=True)
class TableRow:
    """A method in a task's table.

    Attributes:
        rank: Competition rank by the ranked number: 1, 1, 3; None where there is none.
        label: The method, with the settings that tell it from others of its name.
        cells: By key of the column.
        status: Of the record.
        error: Why the cell failed, or is not applicable.
    """

    rank: int | None
    label: str
    cells: dict[str, TableEntry]
    status: str = "done"
    error: str = ""


@dataclass(frozen=True)
class TaskTable:
    """Methods of one model on the same instances, best first; what has no ranked number comes last.

    Attributes:
        beside: The whole model (`original`) and `chance`, where stored.
        scores: Columns of metrics that have none among `COLUMNS`, in the order in which they were scored.
        ranked_by: Key of the column that ranks: `accuracy`, or where no method has one the first of `scores` with a direction.
    """

    model: str
    task: str
    instances: int
    note: str
    rows: tuple[TableRow, ...]
    beside: dict[str, TableEntry]
    scores: tuple[Column, ...] = ()
    ranked_by: str = ACCURACY.key


@dataclass(frozen=True)
class PaperTable:
    """The shape of the published table for one model.

    Attributes:
        tasks: Columns.
        gold: Row title to one cell a task: guided by the right answer, as published.
        predicted: The guided rows again, by the predicted class.
    """

    model: str
    tasks: tuple[str, ...]
    gold: dict[str, tuple[TableEntry, ...]]
    predicted: dict[str, tuple[TableEntry, ...]]


def task_tables(records: Sequence[Record]) -> list[TaskTable]:
    """A table for every (model, task, question), in order of their names."""
    return [_task_table(group) for group in groups(records)]


def paper_tables(records: Sequence[Record]) -> list[PaperTable]:
    """The published table's shape for every model; of several runs on one task the one with most instances."""
    largest: dict[str, dict[str, ComparableCells]] = {}
    for group in groups(records):
        largest.setdefault(group.model, {}).setdefault(group.task, group)
    return [_paper_table(model, by_task) for model, by_task in largest.items()]


def read_cell(record: Record | None, metric: str, variant: str, scale: float = 1.0) -> TableEntry:
    """A stored aggregate as a cell."""
    if record is None:
        return TableEntry(reason="not run")
    found = find_aggregate(record, metric, variant)
    if isinstance(found, str):
        return TableEntry(reason=found)
    spread = None if found.sd_draws is None or math.isnan(found.sd_draws) else scale * found.sd_draws
    return TableEntry(
        scale * found.value, scale * found.low, scale * found.high, found.count, found.undefined, spread, found.reason
    )


def _task_table(group: ComparableCells) -> TaskTable:
    scores = _scores(group)
    rows = [_row(label, record, scores) for label, record in group.by_label().items()]
    by = _ranking(rows, scores)
    sign = 1 if by.higher_is_better is False else -1
    ranked = sorted((r for r in rows if r.cells[by.key].known), key=lambda r: (sign * r.cells[by.key].value, r.label))
    unranked = sorted((r for r in rows if not r.cells[by.key].known), key=lambda r: (r.status == "failed", r.label))
    values = [row.cells[by.key].value for row in ranked]
    placed = [replace(row, rank=values.index(row.cells[by.key].value) + 1) for row in ranked]
    return TaskTable(
        group.model, group.task, group.instances, group.note, (*placed, *unranked), _beside(group), scores, by.key
    )  # fmt: skip


def _scores(group: ComparableCells) -> tuple[Column, ...]:
    """Columns of metrics without one of their own: the variant that each ranks by."""
    found: dict[str, Column] = {}
    for score in (score for record in group.records for score in record.scores.values()):
        if score.name not in {column.metric for column in COLUMNS} and not (score.name in found and found[score.name].variant):
            title = score.name.replace("_", "\n")
            found[score.name] = Column(
                score.name, title, score.name, score.ranked, "share", score.unit or score.name, score.higher_is_better
            )
    return tuple(found.values())


def _ranking(rows: Sequence[TableRow], scores: Sequence[Column]) -> Column:
    """Accuracy where any method has one; else the first other metric with a direction that one has."""
    directed = (column for column in scores if column.higher_is_better is not None)
    return next((column for column in (ACCURACY, *directed) if any(row.cells[column.key].known for row in rows)), ACCURACY)


def _row(label: str, record: Record, scores: Sequence[Column]) -> TableRow:
    cells = {column.key: _cell(record, column) for column in (*COLUMNS, *scores)}
    return TableRow(None, label, cells, record.status, record.error)


def _cell(record: Record, column: Column) -> TableEntry:
    if column.metric:
        return read_cell(record, column.metric, column.variant)
    if record.cost is None:
        return TableEntry(
            reason=record.error or ("it was explained elsewhere" if is_outside(record) else "nothing was explained")
        )
    return TableEntry(record.cost.seconds, count=record.cost.explanations)


def _beside(group: ComparableCells) -> dict[str, TableEntry]:
    """The unreduced model and chance, from the first cell that has them."""
    found = {}
    for variant in REFERENCE_ROWS:
        cells = (read_cell(record, ACCURACY.metric, variant) for record in group.records)
        first = next((cell for cell in cells if cell.known), None)
        if first is not None:
            found[variant] = first
    return found


def _paper_table(model: str, by_task: dict[str, ComparableCells]) -> PaperTable:
    known = [task for task in PAPER_TASKS if task in by_task]
    tasks = (*known, *sorted(set(by_task) - set(known)))

    def cells(row: PaperRow, guide: str) -> tuple[TableEntry, ...]:
        variant = row.variant.format(guide)
        return tuple(read_cell(by_task[task].of_method(row.method), row.metric, variant, row.scale) for task in tasks)

    gold = {row.title: cells(row, "gold") for row in PAPER_ROWS}
    predicted = {row.title: cells(row, "predicted") for row in PAPER_ROWS if row.guided}
    return PaperTable(model, tasks, gold, predicted)
