"""Tasks from a user's own file or folder: minimal pairs, with a gap or as whole sentences, or labelled texts."""

from __future__ import annotations

import abc
import logging
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

from ..core.errors import NoSplit, UnknownName, UsageError
from .file_rows import read_table, split_names, stem
from .gaps import Gapped, filled, gap_between, gapped
from .instance import GAP, Head, Instance, Quantity, cluster_of
from .sampling import balanced
from .table import LONG_TEXT, NUMBER, BrokenRowError, FileRow, Table, as_text, hint_of_header

log = logging.getLogger(__name__)
COLUMNS = (
    "sentence", "sentence2", "prefix", "target_idx", "good", "bad", "label", "condition", "cluster", "left_to_right",
    "counterpart",
)  # fmt: skip
WHOLE = {"sentence_good": "good", "sentence_bad": "bad"}
"""What files call the two sentences of a pair (BLiMP), and the columns that they are taken for."""
ALIASES = {**WHOLE, "one_prefix_method": "left_to_right"}
"""The same, and what BLiMP calls a pair whose sentences are the same before the word in which they differ."""
YES, NO = {"1", "1.0", "true", "yes"}, {"", "0", "0.0", "false", "no"}
"""What says in the column `left_to_right` that the words before the gap decide, and what says that they may not."""
NO_LABEL = ("-", "nan", "<na>", "n/a", "null")
"""Texts in the place of a label that say that there is none: that of SNLI and those of pandas and SQL; so does an empty cell."""
TRUE_NAMES = "write the names of the labels that are true, not whether each of them is."
MARKS = {"0", "1", "0.0", "1.0", "false", "true"}
"""What stands at the place of every label where a list says of each whether it is true."""
SECOND_TEXTS = (
    "sentence1",
    "sentence2",
    "premise",
    "hypothesis",
    "question",
    "question1",
    "question2",
    "passage",
    "text_b",
    "text2",
)
"""Names of columns that usually hold one of two texts."""


class UsableRows(NamedTuple):
    """The instances of a split, how many rows are broken, the names of the classes if the file has them, what is left out."""

    instances: tuple[Instance, ...]
    broken: int
    classes: tuple[str, ...]
    left_out: str


@dataclass(frozen=True)
class FileTask(abc.ABC):
    """Instances from the rows of a file or folder.

    Attributes:
        path: What `file_rows.read_table` reads: TSV, CSV, JSON, parquet or Arrow.
        columns: A column of `COLUMNS` to the file's name of it, where they differ: `{"sentence": "grammatical"}`, or as text
            `sentence=grammatical`; `data.sentence` is the part of an object.
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
        self._usable(first_split(self.path))  # reads the file, so that a bad one is reported before anything runs

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
        return self._usable(first_split(self.path)).broken

    def left_out(self, split: str) -> str:
        """How many rows of a split are left out, and why the first is; empty where none is."""
        return self._usable(split).left_out

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes in the order of their numbers, where the file has them; else empty."""
        return self._usable(first_split(self.path)).classes

    def instances(self, split: str = "test", limit: int | None = None, seed: int = 0) -> tuple[Instance, ...]:
        """The rows in the file's order; with a limit, a seeded sample balanced over conditions.

        Args:
            split: `test`, the only one of a file; a `DatasetDict` on disk has its own.
            limit: How many instances; None for all.
            seed: Of the sample.

        Raises:
            NoSplit: Another split.
        """
        splits = split_names(self.path)
        if split not in splits:
            raise NoSplit(f"task {self.name!r} has no split {split!r}; it has: {', '.join(splits)}.")
        return balanced(self._usable(split).instances, limit, seed)

    @cached_property
    def _by_split(self) -> dict[str, UsableRows]:
        return {}

    def _usable(self, split: str) -> UsableRows:
        """The instances of a split, which is read once."""
        if split not in self._by_split:
            self._by_split[split] = self._read(split)
        return self._by_split[split]

    def _read(self, split: str) -> UsableRows:
        stored = read_table(self.path, split)
        table = renamed(self.path, stored, self.columns)
        absent = [name for name in self._required(table) if name not in table.columns]
        if absent:
            raise UsageError(missing(self.path, table, absent))
        before = f"{self.stem}/" if split_names(self.path) == ("test",) else f"{self.stem}/{split}/"
        rows = self._chosen(table)
        instances, reasons = [], []
        for row in rows:
            try:
                instances.append(self._instance(f"{before}{row.number}", row, table))
            except BrokenRowError as error:
                reason = f"line {row.line}: {error}"
                if self.on_broken == "error":
                    raise UsageError(
                        f"{self.path}, {reason} To leave such rows out, write {self.path}:on_broken=skip."
                    ) from error
                reasons.append(reason)
        if not instances:
            raise UsageError(f"none of the {len(rows)} rows of {self.path} can be used; the first: {self.path}, {reasons[0]}")
        said = ""
        if reasons:
            said = f"{len(reasons)} of {len(rows)} rows of {self.source} left out, the first: {reasons[0]}"
            log.warning(said)
        classes = table.classes.get("label", ())
        return UsableRows(tuple(self._finished(instances, table, stored)), len(reasons), classes, said)

    def _chosen(self, table: Table) -> list[FileRow]:
        """The rows that `where` keeps."""
        for column in self.where:
            if column not in table.columns:
                raise UnknownName(f"column of {self.source}", column, table.columns, "(in the setting where)")

        def value(row: FileRow, column: str) -> str:
            return as_text(row.cells.get(column)).strip()

        rows = [row for row in table.rows if all(value(row, column) == text for column, text in self.where.items())]
        if not rows:
            condition = ", ".join(f"{c}={v}" for c, v in self.where.items())
            column = next(iter(self.where))
            values = list(dict.fromkeys(value(row, column)[:40] for row in table.rows))
            shown = ", ".join(values[:10]) + (" ..." if len(values) > 10 else "")
            raise UsageError(f"no row of {self.path} has {condition}; {column} is {shown}.")
        return rows

    @abc.abstractmethod
    def _required(self, table: Table) -> tuple[str, ...]: ...

    @abc.abstractmethod
    def _instance(self, name: str, row: FileRow, table: Table) -> Instance: ...

    def _finished(self, instances: Sequence[Instance], table: Table, stored: Table) -> Sequence[Instance]:
        """What is decided over all instances that are used; `stored` has the columns under the file's own names alone."""
        return instances


@dataclass(frozen=True)
class MinimalPairs(FileTask):
    """Minimal pairs: `sentence` with one [MASK] or `target_idx` (index of a word); `good`, `bad`; maybe `condition`, `cluster`.

    Without a sentence, `good` and `bad` are whole sentences that differ in one word, which becomes the gap, or the two words that
    may follow a `prefix`. `left_to_right` says whether the words before the gap decide, so that a model of the next word can be
    asked with these; `counterpart` is the sentence with its gap, in which `bad` is right.
    """

    head: ClassVar[Head] = "masked"

    def _required(self, table: Table) -> tuple[str, ...]:
        several_words = len(as_text(table.rows[0].cells.get("good")).split()) > 1
        if "prefix" in table.columns and "sentence" not in table.columns and not several_words:
            return ("prefix", "good", "bad")
        return ("good", "bad") if several_words else ("sentence", "good", "bad")

    def _instance(self, name: str, row: FileRow, table: Table) -> Instance:
        good, bad = filled(row, "good"), filled(row, "bad")
        if good == bad:
            raise BrokenRowError(f"good and bad are both {good!r}.")
        has_gap = GAP in row.text("sentence") or row.text("target_idx")
        is_whole = not has_gap and len(good.split()) > 1 and len(bad.split()) > 1
        if is_whole:
            pair = gap_between(good, bad)
        elif "prefix" in table.columns and "sentence" not in table.columns:
            pair = Gapped(f"{filled(row, 'prefix')} {GAP}", good, bad)
        else:
            pair = gapped(row, good, bad)
        return Instance(
            name, (pair.text,), (pair.good,), (pair.bad,), row.text("condition"), cluster=_cluster(row),
            left_to_right=_left_to_right(row), counterpart=_counterpart(row, pair.text),
        )  # fmt: skip


@dataclass(frozen=True)
class LabelledTexts(FileTask):
    """Labelled texts: `sentence`, `label` (integers if all are), maybe `sentence2`, `condition`, `cluster`.

    Where labels are lists of those that are true, each row asks about every label of the file: `toxic`, or `not toxic`. These
    questions are one cluster, unless the file names another.
    """

    head: ClassVar[Head] = "label"

    def _required(self, table: Table) -> tuple[str, ...]:
        return ("sentence", "label")

    def _instance(self, name: str, row: FileRow, table: Table) -> Instance:
        texts = tuple(filled(row, column) for column in ("sentence", "sentence2") if column in table.columns)
        labels = row.cells.get("label")
        if isinstance(labels, list):
            names = tuple(as_text(label).strip() for label in labels)
            if len(set(names)) < len(names):
                raise BrokenRowError(f"label is a list that has one label twice: {TRUE_NAMES}")
            if not all(isinstance(label, (str, int)) and as_text(label).strip() for label in labels):
                raise BrokenRowError("label is a list of something else than labels.")
            return Instance(name, texts, names or ("",), (), row.text("condition"), cluster=_cluster(row) or name)
        label = filled(row, "label")
        if label.lower() in NO_LABEL:
            raise BrokenRowError(f"the label is {label!r}, which says that there is none.")
        return Instance(name, texts, (label,), (), row.text("condition"), cluster=_cluster(row))

    def _finished(self, instances: Sequence[Instance], table: Table, stored: Table) -> Sequence[Instance]:
        """The instances with answers of one type; warns of a text that is left out."""
        left_out = [] if "sentence2" in table.columns else second_texts(stored, self.columns)
        if left_out:
            log.warning(
                "%s: %s is read alone and %s is left out; if the model reads two texts, add --column sentence2=%s.",
                self.source, self.columns.get("sentence", "sentence"), ", ".join(left_out), left_out[0],
            )  # fmt: skip
        if any(isinstance(row.cells.get("label"), list) for row in table.rows):
            if all(len(instance.answer) > 1 and MARKS.issuperset(map(str, instance.answer)) for instance in instances):
                raise UsageError(f"{self.path}: label is a list of as many 0 and 1 in every row: {TRUE_NAMES}")
            names = sorted({str(label) for instance in instances for label in instance.answer} - {""})
            return [_question(instance, name) for instance in instances for name in names]
        labels = [str(instance.answer[0]) for instance in instances]
        if not all(NUMBER.fullmatch(label) for label in labels):
            return instances
        numbers = [int(label.partition(".")[0]) for label in labels]
        return [replace(instance, answer=(number,)) for instance, number in zip(instances, numbers, strict=True)]


def _cluster(row: FileRow) -> str:
    """The cluster of a row's instance: that of the text in its column `cluster`, such as a passage or the name of a document."""
    return cluster_of(row.text("cluster"))


def _left_to_right(row: FileRow) -> bool:
    """Whether a row says that the words before its gap decide.

    Raises:
        BrokenRowError: It says something else than yes or no.
    """
    said = row.text("left_to_right").lower()
    if said not in YES | NO:
        raise BrokenRowError(f"left_to_right must be true or false, got {said[:20]!r}.")
    return said in YES


def _counterpart(row: FileRow, text: str) -> tuple[str, ...]:
    """The sentence of a row in which the other word is right, with its gap or, of a prefix, without; empty where there is none.

    Raises:
        BrokenRowError: It has another number of words, or its gap elsewhere.
    """
    given = row.text("counterpart")
    if given and GAP not in given and text.endswith(f" {GAP}"):  # of a prefix, which has no gap either
        given = f"{given} {GAP}"
    places = [[GAP in word for word in sentence.split()] for sentence in (given, text)]
    if given and places[0] != places[1]:
        raise BrokenRowError(f"the counterpart must have as many words as {text!r}, and {GAP} at the same place, got {given!r}.")
    return (given,) if given else ()


def _question(instance: Instance, label: str) -> Instance:
    """Whether a label is true of a text, from an instance whose answer has all that are."""
    return replace(instance, id=f"{instance.id}/{label}", answer=(label if label in instance.answer else f"not {label}",))


def kind_of(path: Path, columns: Mapping[str, str]) -> type[FileTask]:
    """Minimal pairs if a file has good and bad words or sentences, labelled texts if it has labels.

    Raises:
        UsageError: It has neither; says which columns it has, and what to write.
    """
    check_columns(columns)
    table = read_table(path, first_split(path))
    present = renamed(path, table, columns).columns
    if "good" in present and "bad" in present:
        return MinimalPairs
    if "label" in present:
        return LabelledTexts
    raise UsageError(
        f"{path} has neither the columns good and bad (minimal pairs) nor label (labelled texts); it has "
        f"{', '.join(table.text_columns) or 'no column of text'}. Say which they are, as in `--column sentence=grammatical "
        "--column good=correct --column bad=wrong` or `--column sentence=text --column label=class`."
        f"{hint_of_header(table.columns)}"
    )


def first_split(path: Path) -> str:
    """The split that is read to check a file or folder: `test`, or the first where there is no such split."""
    splits = split_names(path)
    return "test" if "test" in splits else splits[0]


def second_texts(table: Table, columns: Mapping[str, str]) -> list[str]:
    """The columns of a stored table that hold texts, or are called so, and are read as nothing."""
    read = {*columns.values(), *(name for name in COLUMNS if name not in columns)}
    unread = [name for name in table.text_columns if name not in read]
    sample = table.rows[:20]

    def is_long(name: str) -> bool:
        return 2 * sum(len(as_text(row.cells.get(name)).split()) >= LONG_TEXT for row in sample) > len(sample)

    return [name for name in unread if name.lower() in SECOND_TEXTS or is_long(name)]


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
        if column not in (*COLUMNS, *WHOLE):
            raise UnknownName("column of a task file", column, COLUMNS, "(write OURS=THEIRS, as in sentence=grammatical)")


def renamed(path: Path, table: Table, columns: Mapping[str, str]) -> Table:
    """The table with the columns of the mapping also under the names of `COLUMNS`.

    The sentences of a pair (`sentence_good`, `sentence_bad`) become `good` and `bad`. A column that is read under another name is
    not read under its own.

    Args:
        path: The file, for messages.
        table: Its table.
        columns: A name of `COLUMNS` to the file's name.

    Raises:
        UnknownName: The file has no such column.
    """
    table = _with_header(path, table)
    for column, name_in_file in columns.items():
        if name_in_file not in table.columns:
            raise UnknownName(f"column of {path.name}", name_in_file, table.columns, f"(it was named for {column})")
    whole = {ours: name for name, ours in ALIASES.items() if name in table.columns and ours not in table.columns}
    mapping = {**whole, **{WHOLE.get(ours, ours): name for ours, name in columns.items()}}
    moved = {name for name in mapping.values() if name in COLUMNS and name not in mapping}

    def cells(row: FileRow) -> dict[str, Any]:
        own = {name: value for name, value in row.cells.items() if name not in moved}
        return own | {ours: row.cells.get(name) for ours, name in mapping.items()}

    return Table(
        tuple(name for name in dict.fromkeys((*table.columns, *mapping)) if name not in moved),
        tuple(FileRow(row.number, row.line, cells(row)) for row in table.rows),
        {**table.classes, **{ours: table.classes[name] for ours, name in mapping.items() if name in table.classes}},
    )


def _with_header(path: Path, table: Table) -> Table:
    """The table itself; of lines with a good and a bad sentence and no header, whose first line was read as one, all lines."""
    try:
        gap_between(*table.columns)
    except (BrokenRowError, TypeError):  # another number of columns, or names that are no pair
        return table
    log.warning("%s has no header; the first sentence of each line is taken for the good one.", path.name)
    lines = [(1, table.columns), *((row.line, tuple(row.cells.values())) for row in table.rows)]
    rows = (FileRow(number, line, dict(zip(WHOLE, cells, strict=True))) for number, (line, cells) in enumerate(lines, 1))
    return Table(tuple(WHOLE), tuple(rows))


def missing(path: Path, table: Table, absent: Sequence[str]) -> str:
    """The message about a file that lacks required columns, with an example of the option that names them."""
    spare = [name for name in table.text_columns if name not in COLUMNS] or ["NAME"]
    longest = max(spare, key=lambda name: len(as_text(table.rows[0].cells.get(name)).split()))
    shown = " ".join(f"--column {name}={longest if name == 'sentence' else 'NAME'}" for name in absent)
    return (
        f"{path} has no column {' or '.join(absent)}; it has {', '.join(table.text_columns)}. "
        f"Say which column it is, as in `{shown}`.{hint_of_header(table.columns)}"
    )
