"""A paper's tables with our numbers in them, as rows for a terminal and as Markdown."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from ...benchmark.reproduction.outcome import Reproduction, RunOutcome
from ...benchmark.reproduction.paper import NumberSource, PaperTableColumn, PaperTableRow, PublishedTable
from ..tables.entries import TableEntry
from .measured import measure
from .verdict import DECIDED, WORDS, Verdict, judge

QUICK = "This is a quick run, on a few instances and with few steps: it shows that everything runs, and its verdicts say little."


@dataclass(frozen=True)
class ComparedNumber:
    """A place of a table: theirs, ours, and the verdict.

    Attributes:
        published: The paper's number or statement.
        entry: Our number.
        verdict: Whether they agree.
        digits: Digits printed after the point.
    """

    published: float | str
    entry: TableEntry
    verdict: Verdict
    digits: int

    @property
    def theirs(self) -> str:
        """The published number or statement, as text with the digits of its table."""
        return self.published if isinstance(self.published, str) else _number(self.published, self.digits)

    @property
    def ours(self) -> str:
        """Our number with its interval as text, or a dash."""
        if not self.entry.known:
            return "-"
        if math.isnan(self.entry.low):
            return _number(self.entry.value, self.digits)
        low, high = (_number(end, self.digits) for end in (self.entry.low, self.entry.high))
        return f"{_number(self.entry.value, self.digits)} [{low}, {high}]"


class ComparedRow(NamedTuple):
    """A row of a table, with a number a column; None where the paper has none."""

    row: PaperTableRow
    numbers: tuple[ComparedNumber | None, ...]


class ComparedTable(NamedTuple):
    """A table of the paper with our numbers."""

    table: PublishedTable
    rows: tuple[ComparedRow, ...]

    @property
    def numbers(self) -> list[tuple[PaperTableRow, PaperTableColumn, ComparedNumber]]:
        """Every number with its row and column."""
        return [
            (row, column, number)
            for row, numbers in self.rows
            for column, number in zip(self.table.columns, numbers, strict=True)
            if number is not None
        ]


@dataclass(frozen=True)
class PaperReport:
    """A paper with our numbers beside its own.

    Attributes:
        reproduction: The runs.
        tables: The paper's tables and claims.
    """

    reproduction: Reproduction
    tables: tuple[ComparedTable, ...]

    @property
    def title(self) -> str:
        """Authors, title and venue of the paper, in one line."""
        paper = self.reproduction.paper
        return f"{paper.authors}, {paper.title} ({paper.venue})"

    def counts(self) -> dict[str, int]:
        """How many numbers have each verdict, in the order of `WORDS`."""
        counted = Counter(number.verdict.word for table in self.tables for _, _, number in table.numbers)
        return {word: counted[word] for word in WORDS if counted[word]}

    def summary(self) -> list[str]:
        """Sentences that stand above the tables."""
        counts = ", ".join(f"{count} {word}" for word, count in self.counts().items())
        decided = sum(count for word, count in self.counts().items() if word in DECIDED)
        whole = sum(self.counts().values())
        lines = [f"{whole} published numbers and statements, of which {decided} are compared: {counts}."]
        return [*([QUICK] if self.reproduction.quick else []), *lines, *self.runs()]

    def runs(self) -> list[str]:
        """A sentence for each run: its model beside the paper's, what else differs, how long it took."""
        return [_run_line(outcome) for outcome in self.reproduction.outcomes]


def compare_with_paper(reproduction: Reproduction) -> PaperReport:
    """Reads our numbers for every place of the paper's tables, and judges each.

    Args:
        reproduction: The runs.
    """
    # Rows and columns of one title are different places.
    sources = {(id(table), id(row), id(column)): every for table, row, column, every in reproduction.paper.places()}

    def compared(
        table: PublishedTable, row: PaperTableRow, column: PaperTableColumn, published: float | str
    ) -> ComparedNumber | None:
        read = sources.get((id(table), id(row), id(column)))
        return None if read is None else _compared(reproduction, table, row, published, read)

    return PaperReport(
        reproduction,
        tuple(
            ComparedTable(
                table,
                tuple(
                    ComparedRow(row, tuple(compared(table, row, c, p) for c, p in zip(table.columns, row.published, strict=True)))
                    for row in table.rows
                ),
            )
            for table in reproduction.paper.tables
        ),
    )


def _compared(
    reproduction: Reproduction, table: PublishedTable, row: PaperTableRow, published: float | str, sources: Sequence[NumberSource]
) -> ComparedNumber:
    digits = table.digits if row.digits is None else row.digits
    outcomes = [outcome for source in sources for outcome in reproduction.outcomes_of(source)]
    entry = measure(reproduction, row, sources)
    return ComparedNumber(published, entry, judge(row, published, entry, outcomes, digits), digits)


def _run_line(outcome: RunOutcome) -> str:
    run = outcome.run
    if outcome.reason:
        return f"{run.name} ({run.title}): not run: {outcome.reason}"
    ours = f"{outcome.model}{f' ({outcome.size})' if outcome.size else ''}"
    theirs = f"{run.published.name}{f' ({run.published.shape})' if run.published.shape else ''}"
    beside = f"by the paper's recipe: {theirs}" if not outcome.remark else f"{outcome.remark}; the paper's is {theirs}"
    counts = Counter(record.instances for record in outcome.records)
    instances = " or ".join(str(count) for count in sorted(counts) if count)
    differs = f" {' '.join(run.differs)}" if run.differs else ""
    return f"{run.name} ({run.title}): {ours}, {beside}. {instances} instances a task, {outcome.seconds:.0f} s.{differs}"


def why_lines(table: ComparedTable) -> list[str]:
    """What has to be known of the verdicts of a table: each reason once, with the places that it is about."""
    places: dict[tuple[str, str], list[str]] = {}
    for row, column, number in table.numbers:
        if number.verdict.word not in DECIDED:
            alone = len(table.table.columns) == 1
            places.setdefault((number.verdict.word, number.verdict.why), []).append(
                row.title if alone else f"{row.title}, {column.title}"
            )
    return [f"{word}: {why} ({_shown(where)})" for (word, why), where in places.items()]


def _shown(places: Sequence[str]) -> str:
    return "; ".join(places[:4]) + (f"; and {len(places) - 4} more" if len(places) > 4 else "")


def long_rows(table: ComparedTable) -> list[tuple[str, ...]]:
    """A head, then one row a number: row, column, ours, instances, theirs, verdict."""
    head = ("row", "column", "ours", "n", "theirs", "verdict")
    return [
        head,
        *(
            (row.title, column.title, number.ours, str(number.entry.count or ""), number.theirs, verdict_text(number.verdict))
            for row, column, number in table.numbers
        ),
    ]


def verdict_text(verdict: Verdict) -> str:
    """The verdict in a few words; longer reasons stand below the table."""
    return f"{verdict.word}, {verdict.why}" if verdict.word in DECIDED and verdict.why else verdict.word


def markdown(report: PaperReport) -> str:
    """The report as a part of a page in GitHub's Markdown, headed by the paper."""
    lines = [f"## {report.title}", "", *(f"{line}\n" for line in report.summary())]
    for table in report.tables:
        lines += [f"### {table.table.place}: {table.table.title}", "", *([table.table.note, ""] if table.table.note else [])]
        reasons = [f"- {line}" for line in why_lines(table)]
        lines += [*_grid(table), "", *([*reasons, ""] if reasons else [])]
    if report.reproduction.paper.missing:
        lines += ["### Not covered", "", *(f"- {each.what}: {each.why}" for each in report.reproduction.paper.missing), ""]
    return "\n".join(lines).rstrip("\n") + "\n"


def _grid(table: ComparedTable) -> Iterator[str]:
    """A table with the paper's rows and columns; each cell has ours, theirs and the verdict."""
    yield _line("", *(column.title for column in table.table.columns))
    yield _line(*[":--"] * (1 + len(table.table.columns)))
    for row, numbers in table.rows:
        cells = ["" if n is None else f"{n.ours}; {n.theirs}: {verdict_text(n.verdict)}" for n in numbers]
        yield _line(row.title, *cells)


def _line(*cells: str) -> str:
    escaped = (cell.replace("|", "\\|").replace("<", "&lt;") for cell in cells)
    return f"| {' | '.join(escaped)} |"


def _number(value: float, digits: int) -> str:
    """A number with so many digits after the point; one that they would show as zero, and is not, with two digits of its own.

    >>> _number(0.934, 2), _number(0.0021, 2), _number(0.0, 2)
    ('0.93', '0.0021', '0.00')
    """
    if value and abs(value) < 0.5 * 10**-digits:
        return f"{value:.2g}"
    return f"{value:.{digits}f}"
