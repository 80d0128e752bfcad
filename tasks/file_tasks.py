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
    """A row that gives no instance."""


@dataclass(frozen=True)
class FileTask(abc.ABC):
    """Instances made of a file's rows.

    Attributes:
        path: A TSV, CSV or JSONL file, also with .gz.
        columns: Our column's name to the file's, where they differ: `{"sentence": "grammatical"}`, or `sentence=grammatical`.
        where: Keeps only rows in which a column has a value: `{"subtask": "obj_rel_across_anim"}`, or as text with `=` and `;`.
        on_broken: What to do with a row that gives no instance, such as one with an empty cell: stop, or leave out and count.

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
        self._made  # noqa: B018  reads the file, so that a bad one is reported before anything runs

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
        """The file's name, without its folder: results must not depend on where it lies."""
        return self.path.name

    @property
    def doc(self) -> str:
        """One line for listings."""
        return f"{(type(self).__doc__ or '').partition(':')[0]} from {self.source}."

    @property
    def options(self) -> dict[str, Any]:
        """The settings for the record, without folders."""
        return {"file": self.source, "columns": dict(self.columns), "where": dict(self.where), "on_broken": self.on_broken}

    @property
    def broken(self) -> int:
        """How many rows were left out because they gave no instance."""
        return self._made[1]

    def instances(self, split: str = "test", limit: int | None = None, seed: int = 0) -> tuple[Instance, ...]:
        """The rows in the file's order; with a limit, a seeded sample balanced over conditions. Only the split `test` exists."""
        only_test(self.name, split)
        return balanced(self._made[0], limit, seed)

    @cached_property
    def _made(self) -> tuple[tuple[Instance, ...], int]:
        table = renamed(self.path, read_table(self.path), self.columns)
        for name in self.required:
            if name not in table.columns:
                raise UsageError(missing(self.path, table, self.required))
        rows = self._chosen(table)
        made, reasons = [], []
        for row in rows:
            try:
                made.append(self._instance(row, table))
            except BrokenRowError as error:
                reason = f"{self.path}, line {row.line}: {error}"
                if self.on_broken == "error":
                    raise UsageError(f"{reason} To leave such rows out, write {self.path}:on_broken=skip.") from error
                reasons.append(reason)
        if not made:
            raise UsageError(f"none of the {len(rows)} rows of {self.path} can be used; the first: {reasons[0]}")
        if reasons:
            log.warning("%d of %d rows of %s left out, the first: %s", len(reasons), len(rows), self.source, reasons[0])
        return tuple(made), len(reasons)

    def _chosen(self, table: Table) -> list[FileRow]:
        for column in self.where:
            if column not in table.columns:
                raise UnknownName(f"column of {self.source}", column, table.columns, "(in the setting where)")
        rows = [row for row in table.rows if all(row.cells.get(c, "") == value for c, value in self.where.items())]
        if not rows:
            wanted = ", ".join(f"{c}={v}" for c, v in self.where.items())
            column = next(iter(self.where))
            values = list(dict.fromkeys(row.cells.get(column, "") for row in table.rows))
            raise UsageError(
                f"no row of {self.path} has {wanted}; {column} is {', '.join(values[:10])}{' ...' if len(values) > 10 else ''}."
            )
        return rows

    @abc.abstractmethod
    def _instance(self, row: FileRow, table: Table) -> Instance: ...


@dataclass(frozen=True)
class MinimalPairs(FileTask):
    """Minimal pairs: `sentence` with one [MASK], or the place of a word in `target_idx`; `good`, `bad`; maybe `condition`."""

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
    """A mapping of names, also from the text `a=b;c=d`.

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
    """Refuses names that are not ours."""
    for ours in columns:
        if ours not in COLUMNS:
            raise UnknownName("column of a task file", ours, COLUMNS, "(write OURS=THEIRS, as in sentence=grammatical)")


def renamed(path: Path, table: Table, columns: Mapping[str, str]) -> Table:
    """The table with the user's columns also under our names."""
    for ours, theirs in columns.items():
        if theirs not in table.columns:
            raise UnknownName(f"column of {path.name}", theirs, table.columns, f"(it was named for {ours})")
    rows = (
        FileRow(r.number, r.line, {**r.cells, **{o: r.cells[t] for o, t in columns.items() if t in r.cells}}) for r in table.rows
    )
    return Table(tuple(dict.fromkeys((*table.columns, *columns))), tuple(rows))


def missing(path: Path, table: Table, required: tuple[str, ...]) -> str:
    """What to tell a user whose file lacks a column."""
    absent = [name for name in required if name not in table.columns]
    spare = [name for name in table.columns if name not in COLUMNS] or ["NAME"]
    longest = max(spare, key=lambda name: len(table.rows[0].cells.get(name, "").split()))
    shown = " ".join(f"--column {name}={longest if name == 'sentence' else 'NAME'}" for name in absent)
    return (
        f"{path} has no column {' or '.join(absent)}; it has {', '.join(table.columns)}. Say which column it is, as in `{shown}`."
    )


def filled(row: FileRow, name: str) -> str:
    """A cell that must not be empty."""
    text = row.cells.get(name, "").strip()
    if not text:
        raise BrokenRowError(f"the cell {name} is empty.")
    return text


def gapped(row: FileRow, good: str, bad: str) -> tuple[str, str, str]:
    """The sentence with one gap, and the two words; punctuation that both words end in stays in the sentence."""
    text = filled(row, "sentence")
    gaps = text.count(GAP)
    if gaps > 1:
        raise BrokenRowError(f"{GAP} is there {gaps} times, expected once: {text!r}.")
    if gaps == 1:
        return text, good, bad
    words = text.split()
    place = target(row, words)
    if words[place].casefold() not in (good.casefold(), bad.casefold()):
        raise BrokenRowError(f"word {place} (target_idx) is {words[place]!r}, neither {good!r} nor {bad!r}.")
    ending = shared_ending(good, bad)
    cut = len(ending)
    words[place] = GAP + ending
    return " ".join(words), good[: len(good) - cut], bad[: len(bad) - cut]


def target(row: FileRow, words: list[str]) -> int:
    """The number of the word that is to be masked."""
    given = row.cells.get("target_idx", "").strip()
    if not given:
        raise BrokenRowError(f"there is no {GAP} in the sentence and no target_idx to put one at.")
    if not given.isdecimal():
        raise BrokenRowError(f"target_idx must be the number of a word, counted from 0, got {given!r}.")
    if int(given) >= len(words):
        raise BrokenRowError(f"target_idx is {given}, but the sentence has {len(words)} words (0 to {len(words) - 1}).")
    return int(given)


def shared_ending(good: str, bad: str) -> str:
    """The punctuation that both words end in.

    >>> shared_ending("himself.", "herself.")
    '.'
    """
    found = [re.search(r"[.,;:!?]*$", word) for word in (good, bad)]
    endings = {match.group() for match in found if match}
    return endings.pop() if len(endings) == 1 else ""
