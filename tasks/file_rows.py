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
    """One record: its number (from 1, without the header), its line in the file, its cells as text by column."""

    number: int
    line: int
    cells: Mapping[str, str]


@dataclass(frozen=True)
class Table:
    """A file's columns, in the file's order, and rows."""

    columns: tuple[str, ...]
    rows: tuple[FileRow, ...]

    @cached_property
    def integers(self) -> frozenset[str]:
        """The columns in which every row has an integer."""
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
    """All rows of a file. TSV has no quoting (a quotation mark is a character), CSV the usual one; blank lines are left out.

    Raises:
        UsageError: No such file, another ending, not UTF-8, damaged gzip, no rows, a row that does not fit the header.
    """
    if not is_table(path.name):
        raise UsageError(f"{path} is no task file: expected a name ending in {', '.join(FORMATS)}, or one of these with .gz.")
    text = _text(path)
    plain = path.name.lower().removesuffix(".gz")
    table = _objects(path, text) if plain.endswith(".jsonl") else _cells(path, text, tabs=plain.endswith(".tsv"))
    if not table.rows:
        wanted = "one object a line" if plain.endswith(".jsonl") else "a header and at least one row"
        raise UsageError(f"{path} has no rows: expected {wanted}.")
    return table


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a text file, plain or gzipped, that are not blank, each with its number.

    Raises:
        UsageError: No such file, not UTF-8, damaged gzip.
    """
    for number, line in enumerate(_text(path).split("\n"), 1):
        if line.strip():
            yield number, line.rstrip("\r")


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
    stream = io.StringIO(text, newline="")
    reader = csv.reader(stream, delimiter="\t", quoting=csv.QUOTE_NONE) if tabs else csv.reader(stream, strict=True)
    lines = _lines(path, reader)
    header = next(lines, (0, []))[1]
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice:
        raise UsageError(f"{path}, line 1: the column {twice[0]!r} is there twice; rename one.")
    rows: list[FileRow] = []
    for line, cells in lines:
        if len(cells) != len(header):
            raise UsageError(f"{path}, line {line}: {len(cells)} cells, but the header has {len(header)}: {', '.join(header)}.")
        rows.append(FileRow(len(rows) + 1, line, dict(zip(header, cells, strict=True))))
    return Table(tuple(header), tuple(rows))


def _lines(path: Path, reader: Iterator[list[str]]) -> Iterator[tuple[int, list[str]]]:
    line = 0
    try:
        for cells in reader:
            line, first = reader.line_num, line + 1  # type: ignore[attr-defined]
            if cells:
                yield first, cells
    except csv.Error as error:
        raise UsageError(f"{path}, line {line + 1}: {error}.") from error


def _objects(path: Path, text: str) -> Table:
    rows: list[FileRow] = []
    columns: dict[str, None] = {}
    for line, stored in enumerate(text.split("\n"), 1):
        if not stored.strip():
            continue
        try:
            made = json.loads(stored)
        except json.JSONDecodeError as error:
            raise UsageError(f"{path}, line {line}: not JSON ({error.msg} at character {error.colno}).") from error
        except RecursionError as error:
            raise UsageError(f"{path}, line {line}: brackets within brackets, too deep to be read.") from error
        if not isinstance(made, dict):
            raise UsageError(f"{path}, line {line}: expected one JSON object a line, got {type(made).__name__}.")
        columns.update(dict.fromkeys(made))
        rows.append(FileRow(len(rows) + 1, line, {key: _cell(value) for key, value in made.items()}))
    return Table(tuple(columns), tuple(rows))


def _cell(value: object) -> str:
    """Text as it is, nothing for null, other values as JSON writes them."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
