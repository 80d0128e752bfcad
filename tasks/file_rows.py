"""Rows of a user's file or folder: TSV, CSV, JSON and JSON lines, parquet, Arrow, each with the line it came from."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from ..core.errors import UsageError
from ..core.text_files import RepeatedKey, parse_json
from .separated_values import read_cells
from .table import FileRow, Table, hint_of_header, table_of

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
LARGEST = 256 << 20
"""Most bytes of text of a file, unpacked."""


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
        table = read_cells(path, _text(path), tabs=kind != "csv")
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


def read_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines of a text file, plain or gzipped, that are not blank, each with its number from 1.

    Raises:
        UsageError: No such file, not UTF-8 or UTF-16, damaged gzip.
    """
    for line_number, line in enumerate(_text(path).split("\n"), 1):
        if line.strip():
            yield line_number, line.rstrip("\r")


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
