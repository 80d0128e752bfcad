"""The table of the published paper (Lu et al. 2021, table 1), filled with the numbers of a store."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...benchmark.store.record import Record
from ..stored.comparable_cells import ComparableCells, groups
from .columns import ABLATED, PATTERNS
from .entries import TableEntry, read_entry


@dataclass(frozen=True)
class PaperRow:
    """A row of the published table: a method's variant of a metric.

    Attributes:
        title: As published.
        method: Its registered name.
        metric: Plain name.
        variant: Of the metric; `{}` in it stands for `gold` or `predicted`.
        scale: Factor on the number.
        spread: Whether the standard deviation over draws is printed.
    """

    title: str
    method: str
    metric: str
    variant: str
    scale: float = 1.0
    spread: bool = False

    @property
    def guided(self) -> bool:
        """Whether the row has two readings, guided by the gold answer and by the predicted one."""
        return "{}" in self.variant


PAPER_ROWS = (
    PaperRow("Pi_+^e", PATTERNS, ABLATED, "embedding/matched/{}"),
    PaperRow("random e", "random", ABLATED, "embedding/matched/{}", spread=True),
    PaperRow("attention", "attention", ABLATED, "embedding/matched/{}"),
    PaperRow("conductance", "conductance", ABLATED, "embedding/matched/{}"),
    PaperRow("internal influence", "internal-influence", ABLATED, "embedding/matched/{}"),
    PaperRow("Pi_+^a", PATTERNS, ABLATED, "attention/matched/{}"),
    PaperRow("random a", "random", ABLATED, "attention/matched/{}", spread=True),
    PaperRow("repl_skip", "repl-skip", ABLATED, "attention/own/{}"),
    PaperRow("original", PATTERNS, ABLATED, "original"),
    PaperRow("chance", PATTERNS, ABLATED, "chance"),
    PaperRow("conc+ e", PATTERNS, "concentration", "positive/embedding"),
    PaperRow("conc+ e, ratio of sums", PATTERNS, "concentration", "positive/embedding/corpus"),
    PaperRow("conc- e", PATTERNS, "concentration", "negative/embedding"),
    PaperRow("conc- e, ratio of sums", PATTERNS, "concentration", "negative/embedding/corpus"),
    PaperRow("share e", PATTERNS, "path_share", "embedding"),
    PaperRow("conc+ a", PATTERNS, "concentration", "positive/attention"),
    PaperRow("conc+ a, ratio of sums", PATTERNS, "concentration", "positive/attention/corpus"),
    PaperRow("conc- a", PATTERNS, "concentration", "negative/attention"),
    PaperRow("conc- a, ratio of sums", PATTERNS, "concentration", "negative/attention/corpus"),
    PaperRow("share a (1e-6)", PATTERNS, "path_share", "attention", scale=1e6),
    PaperRow("alignment", PATTERNS, "alignment_rate", "alignment_rate"),
)
"""Table 1 of Lu et al. 2021, with chance added, and concentration as a ratio of sums too, which one sentence with little
influence cannot spoil. repl_skip keeps all of its nodes; the others keep as many a layer as Pi_+."""

PAPER_TASKS = ("sva/obj", "sva/subj", "sva/wsc", "sva/app", "ra/na", "ra/ga")
"""Order of its columns; other tasks follow."""


@dataclass(frozen=True)
class PaperTable:
    """The published table's rows for one model.

    Attributes:
        model: As in the records.
        tasks: Columns.
        gold: One entry a task by the row's title: reduced by explanations of the right answer, as published.
        predicted: The same rows by explanations of the predicted class, where a row has both readings.
    """

    model: str
    tasks: tuple[str, ...]
    gold: dict[str, tuple[TableEntry, ...]]
    predicted: dict[str, tuple[TableEntry, ...]]


def paper_tables(records: Sequence[Record]) -> list[PaperTable]:
    """The published table for every model; of several runs on one task the one with most instances counts.

    Args:
        records: Of a store.

    Returns:
        One table a model; of a method with several cells its default settings count (`ComparableCells.of_method`).
    """
    largest: dict[str, dict[str, ComparableCells]] = {}
    for group in groups(records):
        largest.setdefault(group.model, {}).setdefault(group.task, group)
    return [_paper_table(model, by_task) for model, by_task in largest.items()]


def _paper_table(model: str, by_task: dict[str, ComparableCells]) -> PaperTable:
    published = [task for task in PAPER_TASKS if task in by_task]
    tasks = (*published, *sorted(set(by_task) - set(published)))

    def entries(row: PaperRow, answer: str) -> tuple[TableEntry, ...]:
        variant = row.variant.format(answer)
        return tuple(read_entry(by_task[task].of_method(row.method), row.metric, variant, row.scale) for task in tasks)

    gold = {row.title: entries(row, "gold") for row in PAPER_ROWS}
    predicted = {row.title: entries(row, "predicted") for row in PAPER_ROWS if row.guided}
    return PaperTable(model, tasks, gold, predicted)
