"""Rows of a user's file or folder: TSV, CSV, JSON and JSON lines, parquet, Arrow, each with the line it came from."""

from __future__ import annotations

import csv
import gzip
import io
import json
import re
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import zip_longest
from pathlib import Path
from types import NoneType
from typing import Any, NamedTuple

from ..core.errors import UsageError
from ..core.text_files import RepeatedKey, parse_json

TEXT_FORMATS = (".tsv", ".csv", ".jsonl")
"""Endings of the files that published data may come in."""
TEXT_ENDINGS = (*TEXT_FORMATS, ".txt", ".json", ".ndjson")
ENDINGS = (*TEXT_ENDINGS, *(f"{ending}.gz" for ending in TEXT_ENDINGS), ".parquet", ".arrow")
READABLE = (
    "flowgauge reads .tsv and .txt (separated by tabs), .csv, .jsonl, .json (each also with .gz), .parquet, .arrow, and folders "
    "that `Dataset.save_to_disk` wrote"
)
"""The formats, for messages."""
DICTIONARY, DATASET = "dataset_dict.json", "state.json"
"""Files by which a folder of several splits, or of one, is known."""
QUOTED = re.compile(r'(?:^|(?<=[\t\n\r]))"((?:[^"]|"")*)"(?=[\t\n\r]|$)')
"""A cell of a TSV file that stands in quotation marks as a whole."""
NUMBER = re.compile(r"[+-]?[0-9]{1,18}(\.0*)?")
"""A whole number, also as programs write one in a column of fractions: `1.0`."""
WRITTEN_LIST = re.compile(r"""[\[{]\s*(["'])(?=.*\1).*[\]}]""", re.DOTALL)
"""A list or an object of texts that a program wrote into a cell, as pandas does."""
LARGEST = 256 << 20
"""Most bytes of text of a file, unpacked."""
LONG_TEXT = 3
"""Words from which on a cell is taken for a text that a model could read."""
WORDS_OF_PAIR = ("true", "false")
"""The first cells of the two lines of a pair, in files without a header such as those of CLAMS."""


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


class NumberedLines(NamedTuple):
    """The lines of a file of cells: each with its number and its cells."""

    header: list[str]
    rows: list[tuple[int, list[str]]]

    def ragged(self) -> tuple[int, list[str]] | None:
        """The first row with another number of cells than the header."""
        return next((row for row in self.rows if len(row[1]) != len(self.header)), None)


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


def split_names(path: Path) -> tuple[str, ...]:
    """The splits of a file or folder: those of a `DatasetDict` on disk, else the one split `test`.

    Raises:
        UsageError: The folder's list of splits is damaged.
    """
    if not (path / DICTIONARY).is_file():
        return ("test",)
    try:
        return tuple(str(name) for name in json.loads((path / DICTIONARY).read_text(encoding="utf-8"))["splits"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path / DICTIONARY} is damaged; write the folder again with `save_to_disk`.") from error


def read_table(path: Path, split: str = "test") -> Table:
    """All rows of a file or folder; blank lines are left out.

    TSV has no quoting (a quotation mark is a character), unless the file shows by doubled quotation marks, by a column that is
    quoted in every row or by cells over several lines that a program quoted its cells. CSV has the usual quoting; it may be
    separated by semicolons or tabs. JSON is a list of objects or one object a line.

    Args:
        path: A file with an ending of `ENDINGS`, or a folder that `Dataset.save_to_disk` wrote.
        split: The split of a folder that has several.

    Raises:
        UsageError: No such file, another format, text that is not UTF-8 or UTF-16, damaged data, no rows, a row with another
            number of cells than the header.
    """
    check_readable(path)
    seen = path.stat()
    return _read(path, split, (seen.st_mtime_ns, seen.st_size))


@lru_cache(maxsize=1)
def _read(path: Path, split: str, stamp: tuple[int, int]) -> Table:
    """The table of a file whose time and size are `stamp`; the last one is kept, since a task reads its file more than once."""
    kind = "arrow" if path.is_dir() else path.name.lower().removesuffix(".gz").rpartition(".")[2]
    if kind in ("arrow", "parquet"):
        table = _data_set(path, split)
    elif kind in ("jsonl", "json", "ndjson"):
        table = _objects(path, _text(path), lines=kind != "json")
    else:
        table = _cells(path, _text(path), tabs=kind != "csv")
    if not table.rows:
        expected = "one object a line" if "json" in kind else "a header and at least one row"
        raise UsageError(f"{path} has no rows: expected {expected}.{hint_of_header(table.columns)}")
    return table


def check_readable(path: Path) -> None:
    """Refuses a path that is no file or folder of rows.

    Raises:
        UsageError: Nothing is there, or something of another format; says which formats can be read.
    """
    if path.is_dir():
        if not any((path / name).is_file() for name in (DICTIONARY, DATASET)):
            inside = sorted(file.name for file in path.iterdir() if is_table(file.name))[:3]
            one = f"name one of its files, such as {path / inside[0]}" if inside else "name a file"
            raise UsageError(f"{path} is a folder without a data set: {one}; {READABLE}.")
    elif not path.exists():
        raise UsageError(f"there is no task file {path}: check the path; {READABLE}.")
    elif not is_table(path.name) or not path.is_file():
        raise UsageError(f"{path} is no task file: {READABLE}.")


def hint_of_header(columns: Sequence[str]) -> str:
    """What to do where the names of columns seem to be no header, but the cells of a row; else the empty text.

    >>> hint_of_header(["sentence", "label"])
    ''
    """
    if not any(len(name.split()) >= LONG_TEXT or NUMBER.fullmatch(name) for name in columns):
        return ""
    return f" If its first line is a row ({columns[0][:40]!r}, ...), write a line with the names of the columns above it."


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a text file, plain or gzipped, that are not blank, each with its number from 1.

    Raises:
        UsageError: No such file, not UTF-8 or UTF-16, damaged gzip.
    """
    for line_number, line in enumerate(_text(path).split("\n"), 1):
        if line.strip():
            yield line_number, line.rstrip("\r")


def as_text(value: Any) -> str:
    """The text of a value: text as it is, the empty text for null and NaN, other values as JSON writes them."""
    if value is None or value != value:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def _is_text(row: FileRow, column: str) -> bool:
    try:
        row.text(column)
    except BrokenRowError:
        return False
    return True


def _text(path: Path) -> str:
    try:
        is_packed = path.name.lower().endswith(".gz")
        with gzip.GzipFile(path) if is_packed else path.open("rb") as stream:
            stored = stream.read(LARGEST + 1)
        if len(stored) > LARGEST:
            raise UsageError(f"{path} has more than {LARGEST >> 20} MiB of text: cut it into parts, or save it as Parquet.")
        text = stored.decode("utf-16" if stored.startswith((b"\xff\xfe", b"\xfe\xff")) else "utf-8-sig")
    except FileNotFoundError as error:
        raise UsageError(f"there is no file {path}: check the path.") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise UsageError(f"{path}, line {line}: not UTF-8 ({error.reason}); save the file as UTF-8.") from error
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UsageError(f"{path} is not a whole gzip file: {error}") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}.") from error
    if "\0" in text:
        line = text[: text.index("\0")].count("\n") + 1
        raise UsageError(f"{path}, line {line}: a null character, so this is no text in UTF-8; save the file as UTF-8.")
    return text


def _cells(path: Path, text: str, tabs: bool) -> Table:
    """The table of a TSV (`tabs`) or CSV file with this text."""
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


def _objects(path: Path, text: str, lines: bool) -> Table:
    """The table of a file of JSON objects with this text: one a line, or (without `lines`) a list of them."""
    if not lines and text.lstrip().startswith("["):
        records = _parsed(path, text, 1)
        return table_of(path, ((index, record) for index, record in enumerate(records, 1)), "a list of objects")
    expected = "one JSON object a line" if lines else "a list of JSON objects, or one object a line"
    numbered = ((line, stored) for line, stored in enumerate(text.split("\n"), 1) if stored.strip())
    return table_of(path, ((line, _parsed(path, stored, line, expected)) for line, stored in numbered), expected)


def _parsed(path: Path, text: str, line: int, expected: str = "a list of JSON objects") -> Any:
    try:
        return parse_json(text)
    except json.JSONDecodeError as error:
        reason = f"not JSON ({error.msg} at character {error.colno})"
        raise UsageError(f"{path}, line {line + error.lineno - 1}: {reason}; expected {expected}.") from error
    except RecursionError as error:
        raise UsageError(f"{path}, line {line}: brackets within brackets, too deep to be read.") from error
    except RepeatedKey as error:
        raise UsageError(f"{path}, line {line}: {error} in one object; rename one.") from error
    except ValueError as error:  # a number of thousands of digits
        raise UsageError(f"{path}, line {line}: a number of more digits than can be read.") from error


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


def _data_set(path: Path, split: str) -> Table:
    """The table of a parquet or Arrow file, or of a folder that `Dataset.save_to_disk` wrote; read by `datasets`."""
    data = _loaded(path, split)
    repeated = sorted({name for name in data.column_names if data.column_names.count(name) > 1})
    if repeated:
        raise UsageError(f"{path}: the column {repeated[0]!r} is there twice; rename one.")
    table = table_of(path, enumerate(iter(data), 1), "rows")
    kinds = {column: getattr(kind, "feature", kind) for column, kind in data.features.items()}  # of the elements of lists
    names = {column: tuple(kind.names) for column, kind in kinds.items() if getattr(kind, "names", None)}
    return _with_class_names(table, names)


def _loaded(path: Path, split: str) -> Any:
    import datasets
    import pyarrow.parquet as pq

    readers: dict[str, Callable[[], Any]] = {
        ".parquet": lambda: datasets.Dataset(datasets.table.InMemoryTable(pq.read_table(path))),
        ".arrow": lambda: datasets.Dataset.from_file(str(path), in_memory=True),
    }
    whole = path / split if (path / DICTIONARY).is_file() else path
    try:
        return readers.get(path.suffix.lower(), lambda: datasets.load_from_disk(str(whole)))().with_format(None)
    except Exception as error:  # of pyarrow, of datasets or of Python: the file is damaged or of another format
        raise UsageError(f"{path} is damaged or holds another format than its name says; write it again.") from error


def _with_class_names(table: Table, names: Mapping[str, tuple[str, ...]]) -> Table:
    """The table with the names of classes instead of their numbers; numbers without a name, such as -1, become empty cells."""

    def named(column: str, value: Any) -> Any:
        if column in names and isinstance(value, list):
            return [named(column, element) for element in value]
        if column not in names or not isinstance(value, int):
            return value
        return names[column][value] if 0 <= value < len(names[column]) else None

    rows = (FileRow(r.number, r.line, {column: named(column, value) for column, value in r.cells.items()}) for r in table.rows)
    return Table(table.columns, tuple(rows), names)
