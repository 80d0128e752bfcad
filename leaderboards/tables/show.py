"""What `flowgauge show` prints: every table of a store as text, JSON or CSV; in text, a missing number has its reason."""

from __future__ import annotations

import io
import json
import math
import re
import textwrap
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Literal

from rich.console import Console
from rich.table import Table

from ...benchmark.store.results import table as long_table
from ...benchmark.store.store import Store
from ...core.errors import UsageError
from ...metrics.scores import NO_INTERVAL, count_in_words, without_interval
from ..stored.comparable_cells import note_lines
from ..stored.records import stored_records
from .columns import ACCURACY, FAITHFULNESS, RANKED, SHAPE, Column, Format
from .entries import TableEntry
from .paper_table import PAPER_ROWS, PaperTable, paper_tables
from .task_tables import TableRow, TaskTable, task_tables

OutputFormat = Literal["text", "json", "csv"]
RAISED = str.maketrans("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹")
ABREAST = 2
"""Metrics with their intervals in one table: more do not fit the width."""
PAPER_WORDS = (
    "e: nodes are hidden states (embedding level); a: nodes are heads and skips (attention level); Pi_+: the nodes on the "
    "patterns of words with positive influence; random: as many nodes as these, drawn at random"
)
"""The paper's names of rows."""
NEVER_ASKED = ("not run", "not scored with")
"""Beginnings of the reasons that a dash stands for without a note."""


def render(store_url: str, format: OutputFormat = "text", width: int = 100) -> str:
    """The tables of a store as text for the terminal, as JSON, or as CSV.

    Args:
        store_url: The store.
        format: `text` and `json`: a ranked table for every task, then the table of the published paper (`paper_table`);
            `csv`: one row a stored aggregate, unranked.
        width: Columns of the terminal; of text only.

    Returns:
        The whole text, without a line feed at its end.

    Raises:
        UsageError: No such store, nothing in it, or an unknown format.
    """
    records = stored_records(store_url)
    if format == "csv":
        return str(long_table(records).to_csv(index=False)).rstrip("\n")
    tasks, papers = task_tables(Store(store_url), records), paper_tables(records)
    if format == "json":
        data = {
            "store": store_url,
            "ranked_by": "/".join(RANKED),
            "tasks": [asdict(table) for table in tasks],
            "paper": [asdict(table) for table in papers],
        }
        return json.dumps(_plain(data), indent=1)
    if format == "text":
        return as_text(tasks, papers, width)
    raise UsageError(f"tables come as text, json or csv, got {format!r}: choose one of these.")


def _plain(value: Any) -> Any:
    """NaN and infinities as null, for JSON has no numbers of that kind."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


class Notes:
    """Numbered notes below a table, such as reasons."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}

    def mark(self, reason: str) -> str:
        """`-` for what was never run or scored, else `n/a` and the note's number."""
        if not reason or reason.startswith(NEVER_ASKED):
            return "-"
        return "n/a" + self.number(f"n/a: {reason}")

    def number(self, note: str) -> str:
        """The raised number of a note."""
        return str(self._numbers.setdefault(note, len(self._numbers) + 1)).translate(RAISED)

    def lines(self) -> list[str]:
        """The notes, one a line."""
        return [f"{str(number).translate(RAISED)} {note}" for note, number in self._numbers.items()]


def as_text(tasks: Sequence[TaskTable], papers: Sequence[PaperTable], width: int = 100) -> str:
    """All tables of a store, one below the other.

    Args:
        tasks: Ranked tables.
        papers: The table of the published paper, for every model; without a number it is not printed.
        width: Columns of the terminal.
    """
    buffer = io.StringIO()
    console = Console(file=buffer, width=width, highlight=False, markup=False, emoji=False)
    for table in tasks:
        _write_task(console, table)
    _write_legend(console, tasks)
    for paper in papers:
        if any(cell.known for rows in (paper.gold, paper.predicted) for cells in rows.values() for cell in cells):
            _write_paper(console, paper)
    return "\n".join(line.rstrip() for line in buffer.getvalue().rstrip().splitlines())


def number(value: float, format: Format) -> str:
    """A number in its column's format.

    Args:
        value: The number.
        format: `share`: three decimals; `small`: a power of ten where tiny; `number`: three digits.

    >>> number(0.98765, "share"), number(0.00000123, "small"), number(0.0312, "small"), number(12.345, "number")
    ('.988', '1.2e-06', '.031', '12.3')
    >>> number(10.5, "share"), number(-0.25, "share")
    ('10.500', '-.250')
    """
    if format == "small" and 0 < abs(value) < 0.001:
        return f"{value:.1e}"
    digits = f"{value:.3f}" if format == "share" or abs(value) < 1 else f"{value:.3g}"
    return re.sub(r"^(-?)0\.", r"\1.", digits)


def _write_task(console: Console, table: TaskTable) -> None:
    note = f", {table.note}" if table.note else ""
    console.print(f"\n{table.model} on {table.task}: {count_in_words(table.instances, table.clusters)}{note}")
    notes, without_accuracy = Notes(), _never_ablated(table)
    if not (without_accuracy and table.scores):
        console.print(_faithfulness(table, notes))
    for start in range(0, len(table.scores), ABREAST):
        console.print(_scores(table, table.scores[start : start + ABREAST], notes, first=without_accuracy and start == 0))
    shape = [column for column in SHAPE if any(row.cells[column.key].known for row in table.rows)]
    if shape:
        console.print(_shape(table, shape, notes))
    seeds = [
        f"{row.label}: mean of {row.seeds} seeds; --over-seeds shows how they differ." for row in table.rows if row.seeds > 1
    ]
    seeds += note_lines({row.label: row.trained_once for row in table.rows if row.trained_once})
    seeds += note_lines({row.label: row.training_warnings for row in table.rows if row.training_warnings})
    failed = [
        f"{row.label} {'without a rank' if row.status == 'done' else row.status}: {row.error}"
        for row in table.rows
        if row.error and row.status != "not-applicable"
    ]
    _write_lines(console, (*_ranked_on(table), *seeds, *failed, *notes.lines()))


def _write_legend(console: Console, tables: Sequence[TaskTable]) -> None:
    """What the columns mean, once for all tasks."""
    known = {key for table in tables for row in table.rows for key, cell in row.cells.items() if cell.known}
    console.print()
    _write_lines(console, [c.meaning for c in (ACCURACY, *FAITHFULNESS, *SHAPE) if c.key in known and c.meaning])
    others = {column.key: column for table in tables for column in table.scores if column.key in known}
    _write_lines(console, [column.meaning for column in others.values()])


def _write_lines(console: Console, lines: Sequence[str]) -> None:
    """Lines with a hanging indent."""
    for line in lines:
        console.print(textwrap.fill(line, console.width, initial_indent="  ", subsequent_indent="      "))


def _faithfulness(table: TaskTable, notes: Notes) -> Table:
    columns = [c for c in FAITHFULNESS if any(row.cells[c.key].known for row in table.rows)]
    text = _empty(["", "method", ACCURACY.title, "95 % CI", "n", *(c.title for c in columns)])
    for row in table.rows:
        rank = "" if row.rank is None else str(row.rank)
        others = (_text(row.cells[c.key], c.format, notes) for c in columns)
        text.add_row(rank, _label(row), *_with_interval(row.cells["accuracy"], notes), *others)
    for name, cell in table.beside.items():
        text.add_row("", f"({name})", *_with_interval(cell, notes), *("" for _ in columns))
    return text


def _label(row: TableRow) -> str:
    """The method; a control is named as one."""
    return f"{row.label} (control)" if row.control_of else row.label


def _never_ablated(table: TaskTable) -> bool:
    """Whether no method was scored with what the first table shows."""
    cells = (row.cells[c.key] for row in table.rows for c in (ACCURACY, *FAITHFULNESS) if c.metric and row.status == "done")
    return all(_never_asked(cell) for cell in cells)


def _never_asked(cell: TableEntry) -> bool:
    """Whether a number is missing because nobody ran or scored it."""
    return not cell.known and cell.reason.startswith(NEVER_ASKED)


def _scores(table: TaskTable, columns: Sequence[Column], notes: Notes, first: bool) -> Table:
    """Metrics beside each other with their intervals; the table that stands first has ranks and seconds too."""
    text = _empty(["", "method", *(t for c in columns for t in (c.title, "95 % CI", "n")), *(["s/inst"] if first else [])])
    for row in table.rows:
        rank = str(row.rank) if first and row.rank is not None else ""
        cells = (shown for c in columns for shown in _with_interval(row.cells[c.key], notes))
        seconds = [_text(row.cells["seconds"], "number", notes)] if first else []
        text.add_row(rank, _label(row), *cells, *seconds)
    return text


def _shape(table: TaskTable, columns: Sequence[Column], notes: Notes) -> Table:
    """Rows in which a number of the patterns is known."""
    text = _empty(["", "method", *(c.title for c in columns)])
    for row in table.rows:
        if any(row.cells[c.key].known for c in columns):
            text.add_row("", row.label, *(_text(row.cells[c.key], c.format, notes) for c in columns))
    return text


def _ranked_on(table: TaskTable) -> list[str]:
    """Says on how many instances the ranks rest, where methods have scores of others too."""
    counts = [row.cells[table.ranked_by].count for row in table.rows if row.cells[table.ranked_by].known]
    if table.ranked_on is None or all(count == table.ranked_on for count in counts):
        return []
    if not table.ranked_on:
        return ["no instance has a score of every method, so none is ranked; `flowgauge compare --method` compares some of them."]
    shared = count_in_words(table.ranked_on, table.ranked_in)
    return [f"ranks are of the {shared} that every ranked method has a score of, means of each method's own."]


def _with_interval(cell: TableEntry, notes: Notes) -> tuple[str, str, str]:
    """Texts of a number, its interval and its count of instances."""
    if not cell.known:
        return notes.mark(cell.reason), "", ""
    return number(cell.value, "share"), _interval(cell, notes), str(cell.count)


def _interval(cell: TableEntry, notes: Notes) -> str:
    """The ends of an interval, or why there is none."""
    if cell.low == cell.low:
        return f"{number(cell.low, 'share')}–{number(cell.high, 'share')}{_corrected(cell, notes)}"
    why = cell.reason and (not cell.undefined or NO_INTERVAL in cell.reason)
    return notes.mark(cell.reason) if why else without_interval(cell.count, clusters=cell.clusters)


def _corrected(cell: TableEntry, notes: Notes) -> str:
    """A note's number where the bias that an interval is corrected for shows: over a tenth of its width, or the value outside."""
    outside = not cell.low <= cell.value <= cell.high
    if cell.bias is None or not (outside or abs(cell.bias) > (cell.high - cell.low) / 10):
        return ""
    return notes.number(f"interval corrected for a bias of {cell.bias:+.3f}")


def _text(cell: TableEntry, format: Format, notes: Notes) -> str:
    return number(cell.value, format) if cell.known else notes.mark(cell.reason)


def _write_paper(console: Console, table: PaperTable) -> None:
    console.print(f"\n{table.model}: ablated accuracy and patterns as in Lu et al. 2021, table 1 (± sd over random draws)")
    notes = Notes()
    text = _empty(["", *table.tasks], first="left")
    text.add_row("guided by the right answer", *("" for _ in table.tasks))
    spreads = {row.title for row in PAPER_ROWS if row.spread}
    shown = _paper_rows(text, table.gold, spreads, notes)
    if any(cell.known for cells in table.predicted.values() for cell in cells):
        text.add_row("guided by the predicted class", *("" for _ in table.tasks))
        _paper_rows(text, table.predicted, spreads, notes)
    console.print(text)
    named = [PAPER_WORDS] if any(title.startswith(("Pi_+", "random ", "conc", "share")) for title in shown) else []
    counted = ["share a is counted exactly; the published value is not comparable"] if "share a (1e-6)" in shown else []
    _write_lines(console, (*named, *counted, *notes.lines()))


def _paper_rows(text: Table, rows: dict[str, tuple[TableEntry, ...]], spreads: set[str], notes: Notes) -> list[str]:
    """Adds the rows that were run and scored on any task; returns their titles."""
    shown = [title for title, cells in rows.items() if not all(_never_asked(cell) for cell in cells)]
    for title in shown:
        text.add_row(f"  {title}", *(_paper_cell(cell, title in spreads, notes) for cell in rows[title]))
    return shown


def _paper_cell(cell: TableEntry, spread: bool, notes: Notes) -> str:
    if not cell.known:
        return notes.mark(cell.reason)
    return _two(cell.value) + (f" ± {_two(cell.spread)}" if spread and cell.spread is not None else "")


def _two(value: float) -> str:
    """Two decimals as published: `.96`, `1.0`; small numbers keep two digits."""
    if 0 < abs(value) < 0.005:
        return f"{value:.1e}" if abs(value) < 0.0005 else f"{value:.3f}".lstrip("0")
    text = f"{value:.2f}"
    return "1.0" if text == "1.00" else text.replace("0.", ".", 1) if abs(value) < 1 else text


def _empty(titles: Sequence[str], first: str = "right") -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for index, title in enumerate(titles):
        left = title == "method" or (index == 0 and first == "left")
        table.add_column(title, justify="left" if left else "right", no_wrap=not left, overflow="fold")
    return table
