"""Rows of a table, with the text of their cells, whatever file they were read from."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType
from typing import Any

from ..core.errors import UsageError

NUMBER = re.compile(r"[+-]?[0-9]{1,18}(\.0*)?")
"""A whole number, also as programs write one in a column of fractions: `1.0`."""
WRITTEN_LIST = re.compile(r"""[\[{]\s*(["'])(?=.*\1).*[\]}]""", re.DOTALL)
"""A list or an object of texts that a program wrote into a cell, as pandas does."""
LONG_TEXT = 3
"""Words from which on a cell is taken for a text that a model could read."""


class BrokenRowError(UsageError):
    """A row of which no instance can be built."""


@dataclass(frozen=True)
class FileRow:
    """One record of a file.

    Attributes:
        number: Counted from 1, without the header.
        line: The line of the file on which it starts; without lines, its number.
        cells: The value of each column: text, or what JSON and Arrow can hold.
    """

    number: int
    line: int
    cells: Mapping[str, Any]

    def text(self, column: str) -> str:
        """The text of a cell, without blanks at its ends; empty for null and for a column that the row lacks.

        A list of words is joined by blanks, so that they stay the words of the text.

        Raises:
            BrokenRowError: An object, a list of something else than words, a word with a blank in it, one of these as text, or a
                value that is neither text nor a number.

        >>> FileRow(1, 2, {"sentence": ["a", "film"], "label": True}).text("sentence")
        'a film'
        """
        value = self.cells.get(column)
        if isinstance(value, str) and WRITTEN_LIST.fullmatch(value.strip()):
            raise BrokenRowError(
                f"{column} is a list or object written as text: {value.strip()[:40]!r}. Write the words with blanks between them."
            )
        if isinstance(value, Mapping):
            parts = ", ".join(f"{column}.{key}" for key in value)
            raise BrokenRowError(f"{column} is an object; name one of its parts as the column: {parts or 'it has none'}.")
        if isinstance(value, list):
            unfit = next((word for word in value if not isinstance(word, str) or len(word.split()) != 1), None)
            if unfit is not None:
                raise BrokenRowError(f"{column} is a list, and {as_text(unfit)[:40]!r} in it is no single word.")
            return " ".join(word.strip() for word in value)
        if not isinstance(value, (str, int, float, NoneType)):
            raise BrokenRowError(f"{column} holds values of type {type(value).__name__}, which are no text; save them as text.")
        return as_text(value).strip()


@dataclass(frozen=True)
class Table:
    """The columns of a file, in the file's order, and its rows.

    Attributes:
        columns: Names; `a.b` is the part b of objects in column a.
        rows: The rows.
        classes: The names of a column's numbers, where the file has them (`ClassLabel` of Hugging Face's data sets).
    """

    columns: tuple[str, ...]
    rows: tuple[FileRow, ...]
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def text_columns(self) -> tuple[str, ...]:
        """The columns that can be read as text, by their first row: neither objects nor lists of anything but words."""
        return tuple(name for name in self.columns if _is_text(self.rows[0], name))


def as_text(value: Any) -> str:
    """The text of a value: text as it is, the empty text for null and NaN, other values as JSON writes them."""
    if value is None or value != value:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def hint_of_header(columns: Sequence[str]) -> str:
    """What to do where the names of columns seem to be no header, but the cells of a row; else the empty text.

    >>> hint_of_header(["sentence", "label"])
    ''
    """
    if not any(len(name.split()) >= LONG_TEXT or NUMBER.fullmatch(name) for name in columns):
        return ""
    return f" If its first line is a row ({columns[0][:40]!r}, ...), write a line with the names of the columns above it."


def table_of(path: Path, records: Iterator[tuple[int, Any]], expected: str) -> Table:
    """The table of objects, each with its line; its columns are the keys of all of them, and of objects in them.

    Raises:
        UsageError: A record that is no object.
    """
    rows: list[FileRow] = []
    columns: dict[str, None] = {}
    for line, record in records:
        if not isinstance(record, Mapping):
            raise UsageError(f"{path}, line {line}: expected {expected}, got {type(record).__name__}.")
        cells = dict(_flat(record))
        columns.update(dict.fromkeys(cells))
        rows.append(FileRow(len(rows) + 1, line, cells))
    return Table(tuple(columns), tuple(rows))


def _flat(record: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """The columns of an object: its keys, and below an object the keys of that one after a dot."""
    for key, value in record.items():
        yield f"{before}{key}", value
        if isinstance(value, Mapping):
            yield from _flat(value, f"{before}{key}.")


def _is_text(row: FileRow, column: str) -> bool:
    try:
        row.text(column)
    except BrokenRowError:
        return False
    return True
