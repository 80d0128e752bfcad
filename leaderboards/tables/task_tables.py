"""The tables of a store: the methods of each task, ranked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ...benchmark.store.record import Record, Status
from ..stored.comparable_cells import ComparableCells, groups
from ..stored.score_table import CellSource
from .columns import ACCURACY, COLUMNS, REFERENCE_ROWS, Column
from .entries import TableEntry, column_entry, of_whole_set, ranked_entry, read_entry
from .ranking import Ranking, controls_in, rank_methods

WORST_LAST: tuple[Status, ...] = ("done", "partial", "not-applicable", "failed")


@dataclass(frozen=True)
class TableRow:
    """A method in a task's table.

    Attributes:
        rank: Competition rank by the ranked number: 1, 1, 3; None where there is none.
        label: The method, with the settings in which it differs from others of its name.
        cells: By key of the column.
        status: Of its record; of several the worst, but `partial` where only some of them failed.
        error: Why a cell failed, is not applicable, or has no rank although it has scores.
        seeds: Cells that were averaged: they differ in their seed alone.
        control_of: The method that it is a control of; such a row has no rank.
        trained_once: What the interval does not cover, where the method was trained with one seed.
        training_warnings: What its trainings say that a reader of its numbers has to know, such as that one has not converged.
    """

    rank: int | None
    label: str
    cells: dict[str, TableEntry]
    status: str = "done"
    error: str = ""
    seeds: int = 1
    control_of: str = ""
    trained_once: str = ""
    training_warnings: str = ""


@dataclass(frozen=True)
class TaskTable:
    """Methods of one model on the same instances, best first; what has no ranked number comes last.

    Attributes:
        model: As in `ComparableCells`.
        task: As in the records.
        instances: How many were explained.
        note: Settings of the question that are not the defaults.
        rows: One a method.
        beside: The whole model (`original`) and `chance`, where stored.
        scores: Columns of metrics that have none among `COLUMNS`, in the order in which they were scored.
        ranked_by: Key of the column that ranks: `accuracy`, or where no method has one the first of `scores` with a direction.
        ranked_on: Instances that the ranks rest on: those that every ranked method has a score of. None where no score of single
            instances is stored, and stored means are ranked.
        ranked_in: Clusters that these are in; None where each is by itself.
    """

    model: str
    task: str
    instances: int
    note: str
    rows: tuple[TableRow, ...]
    beside: dict[str, TableEntry]
    scores: tuple[Column, ...] = ()
    ranked_by: str = ACCURACY.key
    ranked_on: int | None = None
    ranked_in: int | None = None

    @property
    def clusters(self) -> int | None:
        """How many clusters the instances are in, as any number that rests on all of them says; None where none says so."""
        cells = [cell for row in self.rows for cell in row.cells.values()]
        return next((cell.clusters for cell in cells if cell.clusters is not None and cell.count == self.instances), None)


def task_tables(source: CellSource, records: Sequence[Record]) -> list[TaskTable]:
    """A table for every (model, task, question), in order of their names.

    Args:
        source: Finds the records' cells.
        records: Of a store or a board.

    Returns:
        Tables whose ranks, ranked means and intervals are those of `compare` and of the site.
    """
    return [_task_table(source, group) for group in groups(records)]


def _task_table(source: CellSource, group: ComparableCells) -> TaskTable:
    scores = _scores(group)
    rows = [_row(source, group, label, records, scores) for label, records in group.by_method().items()]
    by = _ranked_column(rows, scores)
    ranking = rank_methods(source, group, by.metric, by.variant)
    from_instances = bool(ranking.scores.methods or ranking.too_few) and not of_whole_set(group.records, by.metric)
    if from_instances:
        rows = [_with_ranked_entry(row, by, ranking) for row in rows]
    controls = controls_in(group)
    places = ranking.places if from_instances else _places_of_means([row for row in rows if row.label not in controls], by)
    ranked = sorted((row for row in rows if row.label in places), key=lambda row: (places[row.label], row.label))
    unranked = sorted((row for row in rows if row.label not in places), key=lambda row: (row.status == "failed", row.label))
    unranked = [replace(row, error=row.error or ranking.too_few.get(row.label, "")) for row in unranked]
    listed = [*(replace(row, rank=places[row.label]) for row in ranked), *unranked]
    return TaskTable(
        model=group.model, task=group.task, instances=group.instances, note=group.note,
        rows=_with_controls_beside(group, listed, controls),
        beside=_beside(group), scores=scores, ranked_by=by.key, ranked_on=ranking.shared if from_instances else None,
        ranked_in=ranking.scores.common_clusters if from_instances else None,
    )  # fmt: skip


def _with_controls_beside(group: ComparableCells, rows: Sequence[TableRow], controls: Mapping[str, str]) -> tuple[TableRow, ...]:
    """The rows with each control below the last row of the method that it is a control of; below all rows where there is none."""
    names = {label: records[0].method for label, records in group.by_method().items()}
    ordered = [row for row in rows if row.label not in controls]
    for control in (row for row in rows if row.label in controls):
        of_method = [i for i, row in enumerate(ordered) if names[row.label] == controls[control.label]]
        ordered.insert(of_method[-1] + 1 if of_method else len(ordered), replace(control, control_of=controls[control.label]))
    return tuple(ordered)


def _scores(group: ComparableCells) -> tuple[Column, ...]:
    """Columns of metrics without one of their own: the variant that each ranks by."""
    with_column, keys = {column.metric for column in COLUMNS}, {column.key for column in COLUMNS}
    columns: dict[str, Column] = {}
    for score in (score for record in group.records for score in record.scores.values()):
        settled = score.name in columns and columns[score.name].variant  # a score that failed names no variant: look further
        if score.name not in with_column and not settled:
            key = score.metric if score.name in keys else score.name  # a user's metric may be called as a column is
            columns[score.name] = Column(
                key=key, title=score.name.replace("_", "\n"), metric=score.name, variant=score.ranked, format="share",
                unit=score.unit or score.name, higher_is_better=score.higher_is_better,
            )  # fmt: skip
    return tuple(columns.values())


def _ranked_column(rows: Sequence[TableRow], scores: Sequence[Column]) -> Column:
    """Accuracy where any method has one; else the first other metric with a direction that one has."""
    directed = (column for column in scores if column.higher_is_better is not None)
    return next((column for column in (ACCURACY, *directed) if any(row.cells[column.key].known for row in rows)), ACCURACY)


def _row(source: CellSource, group: ComparableCells, label: str, records: Sequence[Record], scores: Sequence[Column]) -> TableRow:
    cells = {column.key: column_entry(source, group, records, column) for column in (*COLUMNS, *scores)}
    worst = max((record.status for record in records), key=WORST_LAST.index)
    status = "partial" if worst == "failed" and any(record.status != "failed" for record in records) else worst
    error = next((record.error for record in records if record.error), "")
    once, warnings = group.trained_once.get(label, ""), group.training_warnings.get(label, "")
    return TableRow(rank=None, label=label, cells=cells, status=status, error=error, seeds=len(records), trained_once=once,
                    training_warnings=warnings)  # fmt: skip


def _with_ranked_entry(row: TableRow, by: Column, ranking: Ranking) -> TableRow:
    """The row with the ranking's mean and interval, if it is in the ranking or a control."""
    for scores, means in ((ranking.scores, ranking.means), (ranking.controls, ranking.control_means)):
        if row.label in scores.methods:
            index = scores.methods.index(row.label)
            count, clusters = scores.counts[index], scores.cluster_counts[index]
            entry = ranked_entry(row.cells[by.key], means[index].tolist(), count, clusters)
            return replace(row, cells={**row.cells, by.key: entry})
    return row


def _places_of_means(rows: Sequence[TableRow], by: Column) -> Mapping[str, int]:
    """Competition ranks of stored means, for scores of the whole set: they are of the same instances for every method."""
    sign = 1 if by.higher_is_better is False else -1
    values = {row.label: sign * row.cells[by.key].value for row in rows if row.cells[by.key].known}
    return {label: 1 + sum(other < value for other in values.values()) for label, value in values.items()}


def _beside(group: ComparableCells) -> dict[str, TableEntry]:
    """The unreduced model and chance, from the first cell that has them."""
    entries = {
        variant: next((e for r in group.records if (e := read_entry(r, ACCURACY.metric, variant)).known), None)
        for variant in REFERENCE_ROWS
    }
    return {variant: entry for variant, entry in entries.items() if entry is not None}
