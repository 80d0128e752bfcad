"""Tasks from a user's own file: minimal pairs with a gap, or labelled texts."""

from __future__ import annotations

import abc
import logging
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

from ..core.errors import UnknownName, UsageError
from .file_rows import FileRow, Table, read_table, stem
from .instance import GAP, Head, Instance, Quantity
from .sampling import balanced, only_test

log = logging.getLogger(__name__)
COLUMNS = ("sentence", "sentence2", "target_idx", "good", "bad", "label", "condition")


class BrokenRowError(UsageError):
    """A row of which no instance can be built."""


@dataclass(frozen=True)
class FileTask(abc.ABC):
    """Instances from the rows of a file.

    Attributes:
        path: A TSV, CSV or JSONL file, also with .gz.
        columns: A column of `COLUMNS` to the file's name of it, where they differ: `{"sentence": "grammatical"}`, or as text
            `sentence=grammatical`.
        where: Keeps only rows in which a column has a value: `{"subtask": "obj_rel_across_anim"}`, or as text with `=` and `;`.
        on_broken: What to do with a row of which no instance can be built, such as one with an empty cell: `error` stops, `skip`
            leaves it out and counts it.

    Raises:
        UsageError: A file that cannot be read, a missing column, a broken row (with its line), no rows left.
    """

    path: Path
    columns: Mapping[str, str] = field(default_factory=dict)
    where: Mapping[str, str] = field(default_factory=dict)
    on_broken: Literal["error", "skip"] = "error"

    required: ClassVar[tuple[str, ...]]
    head: ClassVar[Head]
    quantity: ClassVar[Quantity] = Quantity()
    version: ClassVar[int] = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", Path(self.path).expanduser())
        for name in ("columns", "where"):
            object.__setattr__(self, name, pairs(name, getattr(self, name)))
        if self.on_broken not in ("error", "skip"):
            raise UsageError(f"on_broken must be error or skip, got {self.on_broken!r}.")
        check_columns(self.columns)
        self._instances_and_broken  # noqa: B018  reads the file, so that a bad one is reported before anything runs

    @property
    def name(self) -> str:
        """`file/` and the file's name without its ending."""
        return f"file/{self.stem}"

    @property
    def stem(self) -> str:
        """The file's name without its ending, in characters that suit folders and ids."""
        return re.sub(r"[^\w.-]+", "-", stem(self.path))

    @property
    def source(self) -> str:
        """The file's name without its folder, because results must not depend on the folder."""
        return self.path.name

    @property
    def doc(self) -> str:
        """The line of `flowgauge list`."""
        return f"{(type(self).__doc__ or '').partition(':')[0]} from {self.source}."

    @property
    def options(self) -> dict[str, Any]:
        """The settings that the record keeps, without folders."""
        return {"file": self.source, "columns": dict(self.columns), "where": dict(self.where), "on_broken": self.on_broken}

    @property
    def broken(self) -> int:
        """How many rows were left out because no instance could be built of them."""
        return self._instances_and_broken[1]

    def instances(self, split: str = "test", limit: int | None = None, seed: int = 0) -> tuple[Instance, ...]:
        """The rows in the file's order; with a limit, a seeded sample balanced over conditions.

        Args:
            split: `test`, the only one.
            limit: How many instances; None for all.
            seed: Of the sample.

        Raises:
            NoSplit: Another split.
        """
        only_test(self.name, split)
        return balanced(self._instances_and_broken[0], limit, seed)

    @cached_property
    def _instances_and_broken(self) -> tuple[tuple[Instance, ...], int]:
        """The instances, and how many rows were left out as broken."""
        table = renamed(self.path, read_table(self.path), self.columns)
        for name in self.required:
            if name not in table.columns:
                raise UsageError(missing(self.path, table, self.required))
        rows = self._chosen(table)
        instances, reasons = [], []
        for row in rows:
            try:
                instances.append(self._instance(row, table))
            except BrokenRowError as error:
                reason = f"{self.path}, line {row.line}: {error}"
                if self.on_broken == "error":
                    raise UsageError(f"{reason} To leave such rows out, write {self.path}:on_broken=skip.") from error
                reasons.append(reason)
        if not instances:
            raise UsageError(f"none of the {len(rows)} rows of {self.path} can be used; the first: {reasons[0]}")
        if reasons:
            log.warning("%d of %d rows of %s left out, the first: %s", len(reasons), len(rows), self.source, reasons[0])
        return tuple(instances), len(reasons)

    def _chosen(self, table: Table) -> list[FileRow]:
        """The rows that `where` keeps."""
        for column in self.where:
            if column not in table.columns:
                raise UnknownName(f"column of {self.source}", column, table.columns, "(in the setting where)")
        rows = [row for row in table.rows if all(row.cells.get(c, "") == value for c, value in self.where.items())]
        if not rows:
            condition = ", ".join(f"{c}={v}" for c, v in self.where.items())
            column = next(iter(self.where))
            values = list(dict.fromkeys(row.cells.get(column, "") for row in table.rows))
            shown = ", ".join(values[:10]) + (" ..." if len(values) > 10 else "")
            raise UsageError(f"no row of {self.path} has {condition}; {column} is {shown}.")
        return rows

    @abc.abstractmethod
    def _instance(self, row: FileRow, table: Table) -> Instance: ...


@dataclass(frozen=True)
class MinimalPairs(FileTask):
    """Minimal pairs: `sentence` with one [MASK], or the index of a word in `target_idx`; `good`, `bad`; maybe `condition`."""

    required: ClassVar[tuple[str, ...]] = ("sentence", "good", "bad")
    head: ClassVar[Head] = "masked"

    def _instance(self, row: FileRow, table: Table) -> Instance:
        good, bad = filled(row, "good"), filled(row, "bad")
        if good == bad:
            raise BrokenRowError(f"good and bad are both {good!r}.")
        text, good, bad = gapped(row, good, bad)
        return Instance(f"{self.stem}/{row.number}", (text,), (good,), (bad,), row.cells.get("condition", ""))


@dataclass(frozen=True)
class LabelledTexts(FileTask):
    """Labelled texts: `sentence`, `label` (integers if all are), maybe `sentence2`, `condition`."""

    required: ClassVar[tuple[str, ...]] = ("sentence", "label")
    head: ClassVar[Head] = "label"

    def _instance(self, row: FileRow, table: Table) -> Instance:
        texts = tuple(filled(row, name) for name in ("sentence", "sentence2") if name in table.columns)
        label = filled(row, "label")
        answer = int(label) if "label" in table.integers else label
        return Instance(f"{self.stem}/{row.number}", texts, (answer,), (), row.cells.get("condition", ""))


def pairs(name: str, given: str | Mapping[str, Any]) -> dict[str, str]:
    """A mapping of names, given as one or as the text `a=b;c=d`.

    Args:
        name: The setting's name, for the message.
        given: The setting.

    Raises:
        UsageError: A text of another form.

    >>> pairs("where", "subtask=sent_comp")
    {'subtask': 'sent_comp'}
    """
    if isinstance(given, Mapping):
        return {str(key): str(value) for key, value in given.items()}
    split = [part.partition("=") for part in str(given).split(";")]
    if any(not key or not sep for key, sep, _ in split):
        raise UsageError(f"cannot read {name}={given!r}: write column=value, several joined by `;`.")
    return {key.strip(): value.strip() for key, _, value in split}


def check_columns(columns: Mapping[str, str]) -> None:
    """Refuses a mapping from names that are not in `COLUMNS`.

    Raises:
        UnknownName: With near names.
    """
    for column in columns:
        if column not in COLUMNS:
            raise UnknownName("column of a task file", column, COLUMNS, "(write OURS=THEIRS, as in sentence=grammatical)")


def renamed(path: Path, table: Table, columns: Mapping[str, str]) -> Table:
    """The table with the columns of the mapping also under the names of `COLUMNS`.

    Args:
        path: The file, for messages.
        table: Its table.
        columns: A name of `COLUMNS` to the file's name.

    Raises:
        UnknownName: The file has no such column.
    """
    for column, name_in_file in columns.items():
        if name_in_file not in table.columns:
            raise UnknownName(f"column of {path.name}", name_in_file, table.columns, f"(it was named for {column})")
    rows = (
        FileRow(r.number, r.line, {**r.cells, **{o: r.cells[t] for o, t in columns.items() if t in r.cells}}) for r in table.rows
    )
    return Table(tuple(dict.fromkeys((*table.columns, *columns))), tuple(rows))


def missing(path: Path, table: Table, required: tuple[str, ...]) -> str:
    """The message about a file that lacks a required column, with an example of the option that names it."""
    absent = [name for name in required if name not in table.columns]
    spare = [name for name in table.columns if name not in COLUMNS] or ["NAME"]
    longest = max(spare, key=lambda name: len(table.rows[0].cells.get(name, "").split()))
    shown = " ".join(f"--column {name}={longest if name == 'sentence' else 'NAME'}" for name in absent)
    return (
        f"{path} has no column {' or '.join(absent)}; it has {', '.join(table.columns)}. Say which column it is, as in `{shown}`."
    )


def filled(row: FileRow, name: str) -> str:
    """The text of a cell that must not be empty.

    Raises:
        BrokenRowError: The cell is empty.
    """
    text = row.cells.get(name, "").strip()
    if not text:
        raise BrokenRowError(f"the cell {name} is empty.")
    return text


def gapped(row: FileRow, good: str, bad: str) -> tuple[str, str, str]:
    """The sentence of a row with one gap, and its two words.

    Where `target_idx` names a word, that word becomes the gap; punctuation that both words end in stays in the sentence.

    Args:
        row: With the cell `sentence`, and `target_idx` if the sentence has no gap.
        good: The right word.
        bad: The wrong word.

    Returns:
        Sentence, right word and wrong word.

    Raises:
        BrokenRowError: Several gaps, no gap and no usable `target_idx`, or a word there that is neither of the two.

    >>> gapped(FileRow(1, 2, {"sentence": "Ann hurt herself.", "target_idx": "2"}), "herself.", "himself.")
    ('Ann hurt [MASK].', 'herself', 'himself')
    """
    text = filled(row, "sentence")
    gaps = text.count(GAP)
    if gaps > 1:
        raise BrokenRowError(f"{GAP} is there {gaps} times, expected once: {text!r}.")
    if gaps == 1:
        return text, good, bad
    words = text.split()
    index = target(row, words)
    if words[index].casefold() not in (good.casefold(), bad.casefold()):
        raise BrokenRowError(f"word {index} (target_idx) is {words[index]!r}, neither {good!r} nor {bad!r}.")
    ending = shared_ending(good, bad)
    cut = len(ending)
    words[index] = GAP + ending
    return " ".join(words), good[: len(good) - cut], bad[: len(bad) - cut]


def target(row: FileRow, words: list[str]) -> int:
    """The index of the word that is to be masked, from the cell `target_idx`.

    Raises:
        BrokenRowError: The cell is empty, is no number, or is no index of a word.
    """
    given = row.cells.get("target_idx", "").strip()
    if not given:
        raise BrokenRowError(f"there is no {GAP} in the sentence and no target_idx to put one at.")
    if not given.isdecimal():
        raise BrokenRowError(f"target_idx must be the number of a word, counted from 0, got {given!r}.")
    if int(given) >= len(words):
        raise BrokenRowError(f"target_idx is {given}, but the sentence has {len(words)} words (0 to {len(words) - 1}).")
    return int(given)


def shared_ending(good: str, bad: str) -> str:
    """The punctuation that both words end in, or the empty text.

    >>> shared_ending("himself.", "herself.")
    '.'
    """
    endings = {word[len(word.rstrip(".,;:!?")) :] for word in (good, bad)}
    return endings.pop() if len(endings) == 1 else ""
