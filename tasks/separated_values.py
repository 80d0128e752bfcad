"""Tables from files of separated values: TSV, CSV, and the lines of pairs that begin with True and False."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Sequence
from itertools import zip_longest
from pathlib import Path
from typing import Any, NamedTuple

from ..core.errors import UsageError
from .table import FileRow, Table

QUOTED = re.compile(r'(?:^|(?<=[\t\n\r]))"((?:[^"]|"")*)"(?=[\t\n\r]|$)')
"""A cell of a TSV file that stands in quotation marks as a whole."""
WORDS_OF_PAIR = ("true", "false")
"""The first cells of the two lines of a pair, in files without a header such as those of CLAMS."""


class NumberedLines(NamedTuple):
    """The lines of a file of cells: each with its number and its cells."""

    header: list[str]
    rows: list[tuple[int, list[str]]]

    def ragged(self) -> tuple[int, list[str]] | None:
        """The first row with another number of cells than the header."""
        return next((row for row in self.rows if len(row[1]) != len(self.header)), None)


def read_cells(path: Path, text: str, tabs: bool) -> Table:
    """The table of a TSV or CSV file, whose blank lines are left out.

    Args:
        path: The file, for messages.
        text: What it holds.
        tabs: Whether it is TSV.

    Raises:
        UsageError: A column that is there twice, a row with another number of cells than the header, unclosed quotation marks.
    """
    lines = _tab_separated(path, text) if tabs else _comma_separated(path, text)
    header, rows = [name.strip() for name in lines.header], lines.rows
    if tabs and len(header) >= 2 and header[0].lower() in WORDS_OF_PAIR:
        return _pairs_of_lines(path, [(1, lines.header), *rows])
    repeated = sorted({name for name in header if name and header.count(name) > 1})
    if repeated:
        raise UsageError(f"{path}, line 1: the column {repeated[0]!r} is there twice; rename one.")
    ragged = lines.ragged()
    if ragged is not None:
        line, cells = ragged
        raise UsageError(
            f"{path}, line {line}: {len(cells)} cells, but the header has {len(header)}: {', '.join(header)}. Mend the line, or "
            f"quote cells that hold a {'tab' if tabs else 'separator'}."
        )
    if len(header) == 1 and tabs and re.search("[,;]", header[0]):
        raise UsageError(f"{path}, line 1: no tab in {header[0]!r}; if commas or semicolons separate its cells, call it .csv.")
    named = [name for name in header if name]
    table_rows = (
        FileRow(number, line, {name: cell for name, cell in zip(header, cells, strict=True) if name})
        for number, (line, cells) in enumerate(rows, 1)
    )
    return Table(tuple(named), tuple(table_rows))


def _tab_separated(path: Path, text: str) -> NumberedLines:
    """The lines of a TSV file, with quoting only where the file shows that it has been quoted by a program."""
    plain = _lines(path, text, delimiter="\t", quoting=csv.QUOTE_NONE)
    if '"' in QUOTED.sub("", text) or not (quoted_cells := QUOTED.findall(text)):
        return plain
    if plain.ragged() is not None or any('""' in cell for cell in quoted_cells) or _has_quoted_column(plain):
        quoted = _lines(path, text, delimiter="\t", strict=True)
        return plain if quoted.ragged() is not None else quoted
    return plain


def _has_quoted_column(lines: NumberedLines) -> bool:
    """Whether one column stands in quotation marks in every row."""
    return any(
        all(QUOTED.fullmatch(cell or "") for cell in column) for column in zip_longest(*(cells for _, cells in lines.rows))
    )


def _comma_separated(path: Path, text: str) -> NumberedLines:
    """The lines of a CSV file; semicolons or tabs separate its cells if no comma does."""
    header = next(iter(csv.reader(io.StringIO(text, newline=""))), [])
    others = [mark for mark in ";\t" if len(header) == 1 and mark in header[0]]
    return _lines(path, text, delimiter=others[0] if others else ",", strict=True, skipinitialspace=True)


def _lines(path: Path, text: str, **dialect: Any) -> NumberedLines:
    """Every record that is not blank, with its first line: a quoted cell may run over several."""
    reader, line = csv.reader(io.StringIO(text, newline=""), **dialect), 0
    rows: list[tuple[int, list[str]]] = []
    try:
        for cells in reader:
            line, first = reader.line_num, line + 1
            if len(cells) > 1 or "".join(cells).strip():
                rows.append((first, cells))
    except csv.Error as error:
        raise UsageError(f"{path}, line {line + 1}: {error}; mend the quotation marks there.") from error
    return NumberedLines(rows[0][1] if rows else [], rows[1:])


def _pairs_of_lines(path: Path, lines: Sequence[tuple[int, list[str]]]) -> Table:
    """The table of a file without header, of which two lines that begin with True and False are the sentences of a pair.

    Raises:
        UsageError: A line without such a beginning or sentence, or whose neighbour is not the other of its pair.
    """
    rows: list[FileRow] = []
    for (line, first), (_, second) in zip_longest(lines[::2], lines[1::2], fillvalue=(0, [""])):
        sentences = {cells[0].strip().lower(): cells[-1] for cells in (first, second)}
        if set(sentences) != set(WORDS_OF_PAIR) or not len(first) == len(second) == 2:
            raise UsageError(
                f"{path}, line {line}: expected a pair, `True<TAB>sentence` and `False<TAB>sentence` on two lines one after the "
                f"other, got {' '.join(first)[:40]!r} and {' '.join(second)[:40]!r}."
            )
        rows.append(FileRow(len(rows) + 1, line, {"sentence_good": sentences["true"], "sentence_bad": sentences["false"]}))
    return Table(("sentence_good", "sentence_bad"), tuple(rows))
