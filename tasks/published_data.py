"""Rows of published data, from a folder (`data_dir`) or, if no folder is named, from the Hub."""

from __future__ import annotations

import json
import logging
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..core.errors import UsageError, in_words
from .file_rows import TEXT_FORMATS, read_lines, read_table
from .table import as_text

DATA_DIR = "FLOWGAUGE_DATA"
"""The environment variable with the data folder, for tasks without a setting `data_dir`."""
MARKS = ("", "_part", "_sample", "_sample_part")
"""Endings of file names in the order in which they are tried: the whole split, then a part or a sample of it."""
LEAF = re.compile(r"\(([0-4]) ([^ ()]+)\)")


@dataclass(frozen=True)
class Corpus:
    """Where a published data set is and what its columns are called.

    Attributes:
        texts: Columns of one or two texts.
        files: The name of each split to that of its file, relative to the data folder and without its ending.
        hub: Data set and configuration on the Hub; None for data that is there only as a script, which `datasets` no longer runs.
        hub_splits: The name of each split to its name on the Hub; None: the same names.
        trees: Whether files hold one PTB tree a line (with a label on every word), not a table.
        home: Where the files can be downloaded.
        label: Column of the answer.
    """

    texts: tuple[str, ...]
    files: Mapping[str, str]
    hub: tuple[str, str] | None = None
    hub_splits: Mapping[str, str] | None = None
    trees: bool = False
    home: str = ""
    label: str = "label"

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns that every file must have."""
        return (*self.texts, self.label)


@dataclass(frozen=True)
class PublishedRow:
    """A row of published data.

    Attributes:
        where: The file and line, or the data set and row, for messages.
        key: The row's name within its split.
        texts: The texts, unchanged.
        label: The label; a list or an object as JSON.
        word_labels: The label of each blank-separated word, or nothing.
    """

    where: str
    key: str
    texts: tuple[str, ...]
    label: str
    word_labels: tuple[int, ...] = ()


def data_folder(data_dir: str | Path | None) -> Path | None:
    """The data folder: `data_dir`, else that of the environment variable, else None, which means to read from the Hub.

    Raises:
        UsageError: There is no such folder.
    """
    path = data_dir or os.environ.get(DATA_DIR)
    if not path:
        return None
    folder = Path(path).expanduser()
    if not folder.is_dir():
        origin = "" if data_dir else f" (from the environment variable {DATA_DIR})"
        raise UsageError(f"there is no data folder {folder}{origin}; name the folder that holds sst2/, mnli/ and so on.")
    return folder


def file_of(corpus: Corpus, split: str, folder: Path) -> Path | None:
    """The file of a split in a data folder: the whole split, else a part or a sample of it, else None."""
    endings = (".txt",) if corpus.trees else TEXT_FORMATS
    names = [corpus.files[split] + mark + ending for mark in MARKS for ending in endings]
    return next((path for name in names for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def describe_source(corpus: Corpus, data_dir: str | Path | None) -> str:
    """Which file or which split on the Hub each split is read from.

    Args:
        corpus: The data set.
        data_dir: The data folder; None: that of the environment variable, else the Hub.
    """
    folder = data_folder(data_dir)
    if folder is None:
        if corpus.hub is None:
            return "data folder (none given)"
        splits = ", ".join(f"{split} = {hub_split}" for split, hub_split in _hub_splits(corpus).items())
        return f"hub {' '.join(corpus.hub)}: {splits}"
    files = {split: path for split in corpus.files if (path := file_of(corpus, split, folder))}
    return "data folder: " + (", ".join(f"{split} = {_shown(path, folder)}" for split, path in files.items()) or "nothing found")


def _shown(path: Path, folder: Path) -> str:
    """A file's path in the data folder, with a note if it is a part or a sample of its split."""
    stem = path.name.partition(".")[0]
    part = next((f" (a {mark} of it)" for mark in ("part", "sample") if stem.endswith(f"_{mark}")), "")
    return f"{path.relative_to(folder).as_posix()}{part}"


def first_file(folder: Path, stems: Iterable[str]) -> Path | None:
    """The first of several files of a data folder, each in any text format, plain or gzipped; None where there is none."""
    names = [stem + ending for stem in stems for ending in TEXT_FORMATS]
    return next((path for name in names for path in (folder / name, folder / f"{name}.gz") if path.is_file()), None)


def read_rows(name: str, corpus: Corpus, split: str, data_dir: str | Path | None) -> Iterator[PublishedRow]:
    """The rows of a split, in the order of the data.

    Args:
        name: The task's name, for messages.
        corpus: The data set.
        split: One of `corpus.files`.
        data_dir: The data folder; None: that of the environment variable, else the Hub.

    Raises:
        UsageError: No such folder or file, a missing column, a row that cannot be read (with its line), the Hub out of reach.
    """
    folder = data_folder(data_dir)
    if folder is None:
        return _from_hub(name, corpus, split)
    path = file_of(corpus, split, folder)
    if path is None:
        raise UsageError(f"task {name!r} finds no {corpus.files[split]}.* in {folder}: put {describe_file(corpus, split)} there.")
    return _from_trees(path) if corpus.trees else _from_table(corpus, path)


def describe_file(corpus: Corpus, split: str) -> str:
    """The file that a split is read from, with its formats and columns, in words.

    >>> describe_file(Corpus(("sentence",), {"train": "sst2/train"}), "train")
    'sst2/train.tsv (or .csv, .jsonl, each also with .gz; columns sentence, label; no quoting in .tsv)'
    """
    stem, home = corpus.files[split], f"; from {corpus.home}" if corpus.home else ""
    if corpus.trees:
        return f"{stem}.txt (also with .gz; one PTB tree a line{home})"
    return f"{stem}.tsv (or .csv, .jsonl, each also with .gz; columns {', '.join(corpus.columns)}; no quoting in .tsv{home})"


def _from_table(corpus: Corpus, path: Path) -> Iterator[PublishedRow]:
    table = read_table(path)
    absent = [column for column in corpus.columns if column not in table.columns]
    if absent:
        raise UsageError(
            f"{path}, line 1: no column {' or '.join(absent)}; it has {', '.join(table.columns)}. Rename its columns."
        )
    lines: dict[str, int] = {}
    for row in table.rows:
        texts = tuple(as_text(row.cells.get(column)) for column in corpus.texts)
        key = as_text(row.cells.get("id")) or str(row.number - 1)
        if lines.setdefault(key, row.line) != row.line:
            raise UsageError(f"{path}, line {row.line}: the id {key!r} is that of line {lines[key]} too; ids must differ.")
        yield PublishedRow(f"{path}, line {row.line}", key, texts, as_text(row.cells.get(corpus.label)).strip())


def _from_trees(path: Path) -> Iterator[PublishedRow]:
    """One tree a line; a word that holds a no-break space counts as several with one label, since words end at any space."""
    for index, (line, tree) in enumerate(read_lines(path)):
        leaves = [(int(label), word) for label, token in LEAF.findall(tree) for word in token.split()]
        complete = tree.startswith("(") and tree.count("(") == tree.count(")") == 2 * len(LEAF.findall(tree)) - 1
        if not complete:
            raise UsageError(f"{path}, line {line}: no PTB tree with a label from 0 to 4 on every node: {tree[:60]!r}.")
        words, labels = " ".join(word for _, word in leaves), tuple(label for label, _ in leaves)
        yield PublishedRow(f"{path}, line {line}", str(index), (words,), tree[1], labels)


def _from_hub(name: str, corpus: Corpus, split: str) -> Iterator[PublishedRow]:
    remedy = f"put {describe_file(corpus, split)} into a folder and name it with --data-dir DIR (or {DATA_DIR}=DIR)"
    if corpus.hub is None:
        raise UsageError(f"task {name!r} is not on the Hub with labels of single words: {remedy}.")
    table = hub_table(name, corpus.hub, _hub_splits(corpus)[split], remedy)
    where = f"{' '.join(corpus.hub)} {_hub_splits(corpus)[split]}"
    absent = [column for column in corpus.columns if column not in table.column_names]
    if absent:
        raise UsageError(f"{where} on the Hub has no column {' or '.join(absent)}; it has {', '.join(table.column_names)}.")
    names = getattr(table.features[corpus.label], "names", None)
    for index, row in enumerate(table):
        label = row[corpus.label]
        if names:
            label = names[label] if 0 <= label < len(names) else label
        label = json.dumps(label, ensure_ascii=False) if isinstance(label, list | dict) else str(label)
        texts = tuple(str(row[column] or "") for column in corpus.texts)
        yield PublishedRow(f"{where}, row {index}", str(row.get("id", row.get("idx", index))), texts, label)


def hub_table(name: str, hub: tuple[str, str], split: str, remedy: str) -> Any:
    """A split of a data set on the Hub, as `datasets` gives it.

    Args:
        name: The task's name, for messages.
        hub: Data set and configuration.
        split: The split.
        remedy: What the message tells a user to do who cannot reach the Hub.

    Raises:
        UsageError: The data cannot be read.
    """
    import datasets

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)  # it logs every retry; the error below is enough
    try:
        return datasets.load_dataset(*hub, split=split)
    except Exception as error:  # of the Hub's client, of httpx or of Python: the data cannot be read
        raise UsageError(
            f"task {name!r} cannot be read from the Hub ({' '.join(hub)}: {in_words(error)}): go online for its "
            f"first use, or {remedy}."
        ) from error


def _hub_splits(corpus: Corpus) -> Mapping[str, str]:
    return corpus.hub_splits or {split: split for split in corpus.files}
