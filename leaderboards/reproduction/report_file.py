"""A paper's numbers beside ours as a file of JSON, which `flowgauge reproduce --out` writes and the pages of a board read."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, model_validator

from ...core.errors import UsageError, first_fault
from ...core.text_files import parse_json, read_text
from ...core.version import VERSION
from .report import ComparedNumber, ComparedTable, PaperReport, why_lines
from .verdict import Word


class _Entry(BaseModel):
    """Fields that a file has, and no others."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class StoredNumber(_Entry):
    """A place of a table.

    Attributes:
        value, low, high: Our number and the ends of its 95 % interval; None where there is none.
        count: Instances behind it; None where it is not known.
        published: The paper's number or statement.
        ours, theirs: Both as text, with the digits of the table.
        verdict: Whether they agree.
        why: What one has to know of the verdict.
    """

    value: float | None
    low: float | None
    high: float | None
    count: int | None
    published: float | str
    ours: str
    theirs: str
    verdict: Word
    why: str


class StoredRow(_Entry):
    """A row of a table, with a number a column; None where the paper has none."""

    title: str
    numbers: tuple[StoredNumber | None, ...]


class StoredTable(_Entry):
    """A table of the paper.

    Attributes:
        place, title, note: Where it stands in the paper, what it shows, how to read it here.
        columns: Their titles.
        rows: The rows.
        reasons: What one has to know of the verdicts, in lines.
    """

    place: str
    title: str
    note: str
    columns: tuple[str, ...]
    rows: tuple[StoredRow, ...]
    reasons: tuple[str, ...]

    @model_validator(mode="after")
    def _every_row_has_a_place_for_each_column(self) -> Self:
        for row in self.rows:
            if len(row.numbers) != len(self.columns):
                raise ValueError(f"the row {row.title} has {len(row.numbers)} numbers, and there are {len(self.columns)} columns")
        return self

    @property
    def measured(self) -> bool:
        """Whether any of its numbers was measured."""
        return any(number is not None and number.value is not None for row in self.rows for number in row.numbers)


class StoredGap(_Entry):
    """Something that the paper reports and no run measures, with the reason."""

    what: str
    why: str


class StoredReport(_Entry):
    """A paper with our numbers beside its own.

    Attributes:
        flowgauge: The version that wrote the file.
        paper: What `flowgauge reproduce` calls it.
        title: Authors, title and venue.
        summary: Sentences that stand above the tables: how many numbers agree, and what was run.
        tables: Its tables and claims.
        missing: What is not covered.
    """

    kind: Literal["flowgauge-reproduction"] = "flowgauge-reproduction"
    flowgauge: str = VERSION
    paper: str
    title: str
    summary: tuple[str, ...]
    tables: tuple[StoredTable, ...]
    missing: tuple[StoredGap, ...] = ()


def stored_report(report: PaperReport) -> StoredReport:
    """What a file keeps of a report."""
    paper = report.reproduction.paper
    return StoredReport(
        paper=paper.name,
        title=report.title,
        summary=tuple(report.summary()),
        tables=tuple(_table(table) for table in report.tables),
        missing=tuple(StoredGap(what=each.what, why=each.why) for each in paper.missing),
    )


def read_report(path: Path) -> StoredReport:
    """The report of a file.

    Raises:
        UsageError: The file cannot be read, or is another kind of file.
    """
    text = read_text(path, "report of a paper")
    try:
        stored = parse_json(text)
        if not isinstance(stored, dict) or stored.get("kind") != "flowgauge-reproduction":
            raise ValueError("its kind is not flowgauge-reproduction")
        return StoredReport.model_validate(stored)
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"{path} holds no report of a paper ({first_fault(error)}): `flowgauge reproduce PAPER --out DIR` writes one."
        ) from error


def _table(compared: ComparedTable) -> StoredTable:
    table = compared.table
    rows = (
        StoredRow(title=row.title, numbers=tuple(None if number is None else _number(number) for number in numbers))
        for row, numbers in compared.rows
    )
    return StoredTable(
        place=table.place, title=table.title, note=table.note, columns=tuple(column.title for column in table.columns),
        rows=tuple(rows), reasons=tuple(why_lines(compared)),
    )  # fmt: skip


def _number(number: ComparedNumber) -> StoredNumber:
    entry = number.entry
    return StoredNumber(
        value=_known(entry.value), low=_known(entry.low), high=_known(entry.high), count=entry.count or None,
        published=number.published, ours=number.ours, theirs=number.theirs, verdict=number.verdict.word, why=number.verdict.why,
    )  # fmt: skip


def _known(value: float) -> float | None:
    return value if math.isfinite(value) else None
