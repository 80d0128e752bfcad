"""Classification tasks on published data: SST-2, MNLI, RTE and MRPC of GLUE, and the Stanford Sentiment Treebank."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..core.errors import NoSplit, UnknownName, UsageError
from .declare import unique
from .instance import Head, Instance, Quantity, cluster_of
from .published_data import Corpus, PublishedRow, describe_source, read_rows
from .sampling import balanced

SPLITS = ("train", "validation", "test")
GLUE = "https://gluebenchmark.com/tasks"
GLUE_REFERENCE = "Wang et al. 2019, GLUE: A Multi-Task Benchmark and Analysis Platform for Natural Language Understanding"
SST_REFERENCE = "Socher et al. 2013, Recursive Deep Models for Semantic Compositionality Over a Sentiment Treebank"


@dataclass(frozen=True)
class Classes:
    """The data of a task, its publication, and its classes in their published order.

    Attributes:
        corpus: Where the rows are.
        reference: The publication of the data: authors, year, title.
        names: The classes by the number that files and the Hub store.
        merged: Stored class to the task's class, or to the empty text where its rows are left out; classes that are not here keep
            their names.
        cluster: The column of the text that several rows share, whose rows are one cluster; empty where there is none.
        version: Of the task.
    """

    corpus: Corpus
    reference: str
    names: tuple[str, ...]
    merged: Mapping[str, str] = field(default_factory=dict)
    cluster: str = ""
    version: int = 1

    @property
    def of_task(self) -> tuple[str, ...]:
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
    "sst2": Classes(_glue("sst2", "sentence"), f"{SST_REFERENCE}; {GLUE_REFERENCE}", ("negative", "positive")),
    "sst": Classes(SST, SST_REFERENCE, FIVE),
    "sst/binary": Classes(SST, SST_REFERENCE, FIVE, POLES),
    "mnli": Classes(
        _glue("mnli", "premise", "hypothesis", dev="dev_matched", hub_dev="validation_matched"),
        "Williams, Nangia and Bowman 2018, A Broad-Coverage Challenge Corpus for Sentence Understanding through Inference; "
        + GLUE_REFERENCE,
        ("entailment", "neutral", "contradiction"),
        cluster="premise",
        version=2,
    ),
    "rte": Classes(
        _glue("rte", "sentence1", "sentence2"),
        f"Dagan, Glickman and Magnini 2006, The PASCAL Recognising Textual Entailment Challenge; {GLUE_REFERENCE}",
        ("entailment", "not_entailment"),
        cluster="sentence1",
        version=2,
    ),
    "mrpc": Classes(
        _glue("mrpc", "sentence1", "sentence2"),
        f"Dolan and Brockett 2005, Automatically Constructing a Corpus of Sentential Paraphrases; {GLUE_REFERENCE}",
        ("not_equivalent", "equivalent"),
    ),
}


@dataclass(frozen=True)
class ClassificationTask:
    """Labelled texts of a published data set, of which the class is explained.

    Splits are `train`, `validation` and `test`. GLUE publishes no labels for its own test sets, so there `test` is its dev set,
    as `validation` is (MNLI: the matched one); SST has all three. Pairs of MNLI with one premise are a cluster, and so are pairs
    of RTE with one text. Source: `reference`.

    Attributes:
        name: `sst2`, `sst`, `sst/binary`, `mnli`, `rte` or `mrpc`.
        data_dir: The folder that holds `sst2/dev.tsv` and so on; None: that of the environment variable FLOWGAUGE_DATA, else
            the Hub is read. A folder that lacks the file is an error; the Hub is then not read in its place.

    Raises:
        UsageError: No such task.
    """

    name: str
    data_dir: str | Path | None = None
    head: Head = field(init=False, default="label")
    quantity: Quantity = field(init=False, default=Quantity())

    def __post_init__(self) -> None:
        if self.name not in PUBLISHED:
            raise UnknownName("classification task", self.name, PUBLISHED)

    @property
    def version(self) -> int:
        """Raised by any change to the instances."""
        return PUBLISHED[self.name].version

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes in their published order; outputs of models are matched by name (`models/inputs/labels.py`)."""
        return PUBLISHED[self.name].of_task

    @property
    def reference(self) -> str:
        """The publication of the data."""
        return PUBLISHED[self.name].reference

    @property
    def source(self) -> str:
        """Which file or which split on the Hub each split is read from; files called `*_part` are named as parts."""
        return describe_source(PUBLISHED[self.name].corpus, self.data_dir)

    def instances(self, split: str = "test", limit: int | None = None, seed: int = 0) -> tuple[Instance, ...]:
        """The rows of a split in the order of the data; with a limit, a seeded sample without regard to classes.

        Args:
            split: `train`, `validation` or `test`.
            limit: How many rows; None for all.
            seed: Of the sample.

        Raises:
            NoSplit: Another split.
            UsageError: Data that cannot be found or read, a row without text or with a label that is none of the task's classes.
        """
        if split not in SPLITS:
            raise NoSplit(f"task {self.name!r} has no split {split!r}; it has: {', '.join(SPLITS)}.")
        corpus = PUBLISHED[self.name].corpus
        stored_split = split if split in corpus.files else "validation"
        rows = read_rows(self.name, corpus, stored_split, self.data_dir)
        instances = [instance for row in rows if (instance := self._instance(stored_split, row))]
        return balanced(unique(self.name, instances), limit, seed)

    def _instance(self, split: str, row: PublishedRow) -> Instance | None:
        """The instance of a row; None where the task leaves out the row's class."""
        texts = tuple(text.strip() for text in row.texts)
        if not all(texts):
            raise UsageError(f"{row.where}: a text is empty.")
        label = self._label(row)
        truth = {"token_labels": row.word_labels} if row.word_labels else {}
        name, shared = f"{self.name}/{split}/{row.key}", PUBLISHED[self.name].cluster
        cluster = cluster_of(texts[PUBLISHED[self.name].corpus.texts.index(shared)]) if shared else ""
        return Instance(name, texts, (label,), truth=truth, cluster=cluster) if label else None

    def _label(self, row: PublishedRow) -> str:
        """The task's class of a row that stores its number or its name; the empty text where the task leaves it out."""
        names = PUBLISHED[self.name].names
        name = names[int(row.label)] if row.label.isdecimal() and int(row.label) < len(names) else row.label
        if name not in names:
            known = ", ".join(f"{index} or {name}" for index, name in enumerate(names))
            raise UsageError(f"{row.where}: the label is {row.label!r}, expected {known}.")
        return PUBLISHED[self.name].merged.get(name, name)


def sst2(data_dir: str | None = None) -> ClassificationTask:
    """Sentiment of film reviews in two classes (SST-2, GLUE); `--max-tokens 17` leaves the 220 of Lu et al. 2021.

    Source: Socher et al. 2013, Recursive Deep Models for Semantic Compositionality Over a Sentiment Treebank; Wang et al. 2019,
    GLUE: A Multi-Task Benchmark and Analysis Platform for Natural Language Understanding.
    """
    return ClassificationTask("sst2", data_dir)


def sst(data_dir: str | None = None) -> ClassificationTask:
    """Sentiment of film reviews in five classes, with a label on every word (Socher et al. 2013).

    Source: Socher et al. 2013, Recursive Deep Models for Semantic Compositionality Over a Sentiment Treebank.
    """
    return ClassificationTask("sst", data_dir)


def sst_binary(data_dir: str | None = None) -> ClassificationTask:
    """Sentiment of film reviews in two classes, without the neutral ones; words keep their five labels (Socher et al. 2013).

    Source: Socher et al. 2013, Recursive Deep Models for Semantic Compositionality Over a Sentiment Treebank.
    """
    return ClassificationTask("sst/binary", data_dir)


def mnli(data_dir: str | None = None) -> ClassificationTask:
    """Does a premise entail a hypothesis, contradict it or neither (MultiNLI, GLUE; matched dev set)?

    Source: Williams, Nangia and Bowman 2018, A Broad-Coverage Challenge Corpus for Sentence Understanding through Inference;
    Wang et al. 2019, GLUE: A Multi-Task Benchmark and Analysis Platform for Natural Language Understanding.
    """
    return ClassificationTask("mnli", data_dir)


def rte(data_dir: str | None = None) -> ClassificationTask:
    """Does a text entail a hypothesis (RTE, GLUE)?

    Source: Dagan, Glickman and Magnini 2006, The PASCAL Recognising Textual Entailment Challenge; Wang et al. 2019, GLUE: A
    Multi-Task Benchmark and Analysis Platform for Natural Language Understanding.
    """
    return ClassificationTask("rte", data_dir)


def mrpc(data_dir: str | None = None) -> ClassificationTask:
    """Do two sentences have the same meaning (MRPC, GLUE)?

    Source: Dolan and Brockett 2005, Automatically Constructing a Corpus of Sentential Paraphrases; Wang et al. 2019, GLUE: A
    Multi-Task Benchmark and Analysis Platform for Natural Language Understanding.
    """
    return ClassificationTask("mrpc", data_dir)
