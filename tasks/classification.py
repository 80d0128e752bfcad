"""Classification tasks on published data: GLUE's SST-2, MNLI, RTE and MRPC, and the Stanford Sentiment Treebank."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..core.errors import NoSplit, UnknownName, UsageError
from . import published_data as corpus
from .declare import unique
from .instance import Head, Instance, Quantity
from .published_data import Corpus, PublishedRow
from .sampling import balanced

SPLITS = ("train", "validation", "test")
GLUE = "https://gluebenchmark.com/tasks"


@dataclass(frozen=True)
class Classes:
    """A task's data, and its classes in their published order.

    Attributes:
        corpus: Where its rows are.
        names: The classes by the number that files and the Hub store.
        merged: Stored class to the task's, empty where its rows are left out; nothing: as stored.
    """

    corpus: Corpus
    names: tuple[str, ...]
    merged: Mapping[str, str] = field(default_factory=dict)

    @property
    def asked(self) -> tuple[str, ...]:
        """The classes of the task, each once."""
        return tuple(dict.fromkeys(kept for name in self.names if (kept := self.merged.get(name, name))))


def _glue(name: str, *texts: str, dev: str = "dev", hub_dev: str = "validation") -> Corpus:
    files = {"train": f"{name}/train", "validation": f"{name}/{dev}"}
    return Corpus(texts, files, ("nyu-mll/glue", name), {"train": "train", "validation": hub_dev}, home=GLUE)


SST = Corpus(
    ("sentence",),
    {"train": "sst/trees_train", "validation": "sst/trees_dev", "test": "sst/trees_test"},
    trees=True,
    home="train.txt, dev.txt and test.txt of https://nlp.stanford.edu/sentiment/trainDevTestTrees_PTB.zip",
)
FIVE = ("very negative", "negative", "neutral", "positive", "very positive")
POLES = {"very negative": "negative", "neutral": "", "very positive": "positive"}
PUBLISHED = {
    "sst2": Classes(_glue("sst2", "sentence"), ("negative", "positive")),
    "sst": Classes(SST, FIVE),
    "sst/binary": Classes(SST, FIVE, POLES),
    "mnli": Classes(
        _glue("mnli", "premise", "hypothesis", dev="dev_matched", hub_dev="validation_matched"),
        ("entailment", "neutral", "contradiction"),
    ),
    "rte": Classes(_glue("rte", "sentence1", "sentence2"), ("entailment", "not_entailment")),
    "mrpc": Classes(_glue("mrpc", "sentence1", "sentence2"), ("not_equivalent", "equivalent")),
}


@dataclass(frozen=True)
class ClassificationTask:
    """Labelled texts of a published data set; what is explained is the class.

    Splits are `train`, `validation` and `test`. GLUE publishes no labels for its own test sets, so there `test` is its dev set,
    as `validation` is (MNLI: the matched one); SST has all three.

    Attributes:
        name: `sst2`, `sst`, `sst/binary`, `mnli`, `rte` or `mrpc`.
        data_dir: The folder that holds `sst2/dev.tsv` and so on; None: that of the environment variable FLOWGAUGE_DATA, else
            the Hub is read. A folder that lacks the file is an error; the Hub never stands in for it.

    Raises:
        UsageError: No such task; by `instances`: no such split, data that cannot be had or read, with what to do.
    """

    name: str
    data_dir: str | Path | None = None
    version: int = field(init=False, default=1)
    head: Head = field(init=False, default="label")
    quantity: Quantity = field(init=False, default=Quantity())

    def __post_init__(self) -> None:
        if self.name not in PUBLISHED:
            raise UnknownName("classification task", self.name, PUBLISHED)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of its classes in their published order; models are asked for them by name (`models/labels.py`)."""
        return PUBLISHED[self.name].asked

    @property
    def source(self) -> str:
        """Which file or which split on the Hub each split is read from; files called `*_part` are named as parts."""
        return corpus.source(PUBLISHED[self.name].corpus, self.data_dir)

    def instances(self, split: str = "test", limit: int | None = None, seed: int = 0) -> tuple[Instance, ...]:
        """The rows of a split in the source's order; with a limit, a seeded sample without regard to classes.

        Raises:
            NoSplit: Another split, no data, a row without text or with a label that is none of the task's.
        """
        if split not in SPLITS:
            raise NoSplit(f"task {self.name!r} has no split {split!r}; it has: {', '.join(SPLITS)}.")
        data = PUBLISHED[self.name].corpus
        stored = split if split in data.files else "validation"
        made = (self._instance(stored, row) for row in corpus.read(self.name, data, stored, self.data_dir))
        return balanced(unique(self.name, [instance for instance in made if instance]), limit, seed)

    def _instance(self, split: str, row: PublishedRow) -> Instance | None:
        texts = tuple(text.strip() for text in row.texts)
        if not all(texts):
            raise UsageError(f"{row.where}: a text is empty.")
        label = self._label(row)
        truth = {"token_labels": row.word_labels} if row.word_labels else {}
        return Instance(f"{self.name}/{split}/{row.key}", texts, (label,), truth=truth) if label else None

    def _label(self, row: PublishedRow) -> str:
        """The task's class of a row that stores its number or its name; empty where the task leaves it out."""
        names = PUBLISHED[self.name].names
        name = names[int(row.label)] if row.label.isdecimal() and int(row.label) < len(names) else row.label
        if name not in names:
            known = ", ".join(f"{number} or {name}" for number, name in enumerate(names))
            raise UsageError(f"{row.where}: the label is {row.label!r}, expected {known}.")
        return PUBLISHED[self.name].merged.get(name, name)


def sst2(data_dir: str | None = None) -> ClassificationTask:
    """Sentiment of film reviews in two classes (SST-2, GLUE); `--max-tokens 17` leaves the 220 of Lu et al. 2021."""
    return ClassificationTask("sst2", data_dir)


def sst(data_dir: str | None = None) -> ClassificationTask:
    """Sentiment of film reviews in five classes, with a label on every word (Socher et al. 2013)."""
    return ClassificationTask("sst", data_dir)


def sst_binary(data_dir: str | None = None) -> ClassificationTask:
    """The same reviews without the neutral ones, for models of two classes; words keep their five labels."""
    return ClassificationTask("sst/binary", data_dir)


def mnli(data_dir: str | None = None) -> ClassificationTask:
    """Does a premise entail a hypothesis, contradict it or neither (MultiNLI, GLUE; matched dev set)?"""
    return ClassificationTask("mnli", data_dir)


def rte(data_dir: str | None = None) -> ClassificationTask:
    """Does a text entail a hypothesis (RTE, GLUE)?"""
    return ClassificationTask("rte", data_dir)


def mrpc(data_dir: str | None = None) -> ClassificationTask:
    """Do two sentences say the same (MRPC, GLUE)?"""
    return ClassificationTask("mrpc", data_dir)
