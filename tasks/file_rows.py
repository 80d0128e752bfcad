"""Rows of a user's TSV, CSV or JSONL file, plain or gzipped, with the line each one came from."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from ..core.errors import UsageError

FORMATS = (".tsv", ".csv", ".jsonl")
INTEGER = re.compile(r"[+-]?[0-9]+")
ENDINGS = FORMATS + tuple(f"{ending}.gz" for ending in FORMATS)


@dataclass(frozen=True)
class FileRow:
    """One record of a file.

    Attributes:
        number: Counted from 1, without the header.
        line: The line of the file on which it starts.
        cells: The text of each column.
    """

    number: int
    line: int
    cells: Mapping[str, str]


@dataclass(frozen=True)
class Table:
    """The columns of a file, in the file's order, and its rows."""

    columns: tuple[str, ...]
    rows: tuple[FileRow, ...]

    @cached_property
    def integers(self) -> frozenset[str]:
        """The columns with an integer in every row."""
        return frozenset(c for c in self.columns if all(INTEGER.fullmatch(row.cells.get(c, "").strip()) for row in self.rows))


def is_table(name: str) -> bool:
    """Whether a name ends like a file that `read_table` reads.

    >>> is_table("pairs.TSV.gz"), is_table("sva/obj")
    (True, False)
    """
    return name.lower().endswith(ENDINGS)


def stem(path: Path) -> str:
    """A file's name without its endings.

    >>> stem(Path("data/pairs.v2.tsv.gz"))
    'pairs.v2'
    """
    ending = next((e for e in sorted(ENDINGS, key=len, reverse=True) if path.name.lower().endswith(e)), "")
    return path.name[: len(path.name) - len(ending)]


def read_table(path: Path) -> Table:
    """All rows of a file; blank lines are left out.

    TSV has no quoting (a quotation mark is a character), CSV has the usual quoting. JSONL has one object a line.

    Args:
        path: A file with an ending of `FORMATS`, also with `.gz`.

    Raises:
        UsageError: No such file, another ending, not UTF-8, damaged gzip, no rows, a row with another number of cells than the
            header.
    """
    if not is_table(path.name):
        raise UsageError(f"{path} is no task file: expected a name ending in {', '.join(FORMATS)}, or one of these with .gz.")
    text = _text(path)
    plain = path.name.lower().removesuffix(".gz")
    table = _objects(path, text) if plain.endswith(".jsonl") else _cells(path, text, tabs=plain.endswith(".tsv"))
    if not table.rows:
        expected = "one object a line" if plain.endswith(".jsonl") else "a header and at least one row"
        raise UsageError(f"{path} has no rows: expected {expected}.")
    return table


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a text file, plain or gzipped, that are not blank, each with its number from 1.

    Raises:
        UsageError: No such file, not UTF-8, damaged gzip.
    """
    for line_number, line in enumerate(_text(path).split("\n"), 1):
        if line.strip():
            yield line_number, line.rstrip("\r")


def _text(path: Path) -> str:
    try:
        stored = path.read_bytes()
        if path.name.lower().endswith(".gz"):
            stored = gzip.decompress(stored)
        return stored.decode("utf-8-sig")
    except FileNotFoundError as error:
        raise UsageError(f"there is no file {path}.") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise UsageError(f"{path}, line {line}: not UTF-8 ({error.reason}); save the file as UTF-8.") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UsageError(f"{path} is not a whole gzip file: {error}") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}.") from error


def _cells(path: Path, text: str, tabs: bool) -> Table:
    """The table of a TSV (`tabs`) or CSV file with this text."""
    stream = io.StringIO(text, newline="")
    reader = csv.reader(stream, delimiter="\t", quoting=csv.QUOTE_NONE) if tabs else csv.reader(stream, strict=True)
    lines = _lines(path, reader)
    header = next(lines, (0, []))[1]
    repeated = sorted({name for name in header if header.count(name) > 1})
    if repeated:
        raise UsageError(f"{path}, line 1: the column {repeated[0]!r} is there twice; rename one.")
    rows: list[FileRow] = []
    for line, cells in lines:
        if len(cells) != len(header):
            raise UsageError(f"{path}, line {line}: {len(cells)} cells, but the header has {len(header)}: {', '.join(header)}.")
        rows.append(FileRow(len(rows) + 1, line, dict(zip(header, cells, strict=True))))
    return Table(tuple(header), tuple(rows))


def _lines(path: Path, reader: Iterator[list[str]]) -> Iterator[tuple[int, list[str]]]:
    """The cells of every record that is not blank, with its first line: a quoted cell may run over several."""
    line = 0
    try:
        for cells in reader:
            line, first = reader.line_num, line + 1  # type: ignore[attr-defined]
            if cells:
                yield first, cells
    except csv.Error as error:
        raise UsageError(f"{path}, line {line + 1}: {error}.") from error


def _objects(path: Path, text: str) -> Table:
    """The table of a JSONL file with this text; its columns are the keys of all objects."""
    rows: list[FileRow] = []
    columns: dict[str, None] = {}
    for line, stored in enumerate(text.split("\n"), 1):
        if not stored.strip():
            continue
        try:
            record = json.loads(stored)
        except json.JSONDecodeError as error:
            raise UsageError(f"{path}, line {line}: not JSON ({error.msg} at character {error.colno}).") from error
        except RecursionError as error:
            raise UsageError(f"{path}, line {line}: brackets within brackets, too deep to be read.") from error
        if not isinstance(record, dict):
            raise UsageError(f"{path}, line {line}: expected one JSON object a line, got {type(record).__name__}.")
        columns.update(dict.fromkeys(record))
        rows.append(FileRow(len(rows) + 1, line, {key: _cell(value) for key, value in record.items()}))
    return Table(tuple(columns), tuple(rows))


def _cell(value: object) -> str:
    """The text of a JSON value: text as it is, the empty text for null, other values as JSON writes them."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
