"""A paper as data: the runs that measure what it reports, its published numbers, and where each of them stands in it."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from ...core.errors import UnknownName, UsageError, quoted, shortened
from ...core.text_files import read_text
from ...tasks.instance import Head

PAPERS = Path(__file__).with_name("papers")
"""The papers that come with the package."""
Combination = Literal[
    "value", "mean", "difference", "remainder", "gain", "rank-correlation", "agreement", "agreement-difference", "cells"
]  # fmt: skip
EXPLANATIONS = ("agreement", "agreement-difference", "cells")
"""Combinations that read stored explanations and no stored score."""
OF_ONE_TASK = ("value", "agreement", "agreement-difference")
"""Combinations that read cells of one task."""
STATEMENT = re.compile(r"([<>]) (-?(?:\d+(?:\.\d+)?|\.\d+))")
"""What a paper says in words, as a bound: `> 0`."""


def _statement(entry: Any) -> Any:
    if isinstance(entry, str) and not STATEMENT.fullmatch(entry):
        raise ValueError("a published number is a number, nan where the table has none, or a bound such as '> 0'")
    return entry


PublishedNumber = Annotated[float | str, BeforeValidator(_statement)]


class _Entry(BaseModel):
    """Fields that a file may have, and no others."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class ModelSize(_Entry):
    """Size of a transformer.

    Attributes:
        layers: Number of layers.
        heads: Attention heads of a layer.
        width: Size of a hidden state.
    """

    layers: int
    heads: int
    width: int

    def __str__(self) -> str:
        return f"{self.layers} layers of {self.heads} heads, width {self.width}"


class PublishedModel(_Entry):
    """The model that the paper measured.

    Attributes:
        name: What the paper calls it, with its training in a few words.
        shape: Its size; None: the paper's model is no transformer, or its size is not known.
    """

    name: str
    shape: ModelSize | None = None


class PaperRun(_Entry):
    """Cells that are computed for a paper: one plan, on one model.

    Attributes:
        name: What `--model NAME=MODEL` calls it.
        title: What is run, in a few words.
        model: The model that it has without `--model`; empty: one has to be named. `{seed}` in it stands for each of the seeds,
            of which each then has a model of its own.
        example: What a model for it looks like, where no task fine-tunes one.
        as_published: Whether that model is built by the paper's own recipe, so that only another one is another model.
        head: What a model needs to be used here.
        published: The paper's model.
        needs: Published data sets that are read.
        differs: What differs from the paper besides the model, in sentences.
        plan: Fields of a plan, without model, methods and metrics.
        methods: The methods, by the name that tables here use.
        metrics: The metrics likewise; none: only explanations are compared.
        quick: Fields of the plan that `--quick` has instead.
        quick_methods: Methods that `--quick` has with other settings; empty: left out there.
        quick_metrics: Metrics likewise.
        figures: What `flowgauge plot` draws of it.
    """

    name: str
    title: str
    model: str = ""
    example: str = ""
    as_published: bool = False
    head: Head | Literal["own"] = "own"
    published: PublishedModel
    needs: tuple[str, ...] = ()
    differs: tuple[str, ...] = ()
    plan: dict[str, Any]
    methods: Annotated[dict[str, str], Field(min_length=1)]
    metrics: dict[str, str] = {}
    quick: dict[str, Any] = {}
    quick_methods: dict[str, str] = {}
    quick_metrics: dict[str, str] = {}
    figures: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _check_names(self) -> Self:
        for changed, known in ((self.quick_methods, self.methods), (self.quick_metrics, self.metrics)):
            if unknown := changed.keys() - known.keys():
                raise ValueError(f"run {self.name!r} changes {min(unknown)!r} for --quick, which it does not have")
        return self

    def methods_of(self, quick: bool) -> dict[str, str]:
        """The methods by name, as a plan writes them."""
        return _changed(self.methods, self.quick_methods if quick else {})

    def metrics_of(self, quick: bool) -> dict[str, str]:
        """The metrics by name, as a plan writes them."""
        return _changed(self.metrics, self.quick_metrics if quick else {})


class NumberSource(_Entry):
    """A stored number of a run.

    Attributes:
        run: The name of a run, or of several that must all have been made (`one+other`); empty: the column's.
        task: A task of the run, or `*` for all of its tasks; empty: the column's.
        method: The name of a method of the run.
        metric: The name of a metric of the run; of `cells`, that metric; of `agreement`, none.
        variant: Of the metric.
        condition: Only instances of this condition; empty: all.
    """

    run: str = ""
    task: str = ""
    method: str
    metric: str = ""
    variant: str = ""
    condition: str = ""

    @property
    def run_names(self) -> list[str]:
        """The names of the runs that are read: several are written with a plus between them."""
        return self.run.split("+")


class PaperTableColumn(_Entry):
    """A column of a table, or a claim.

    Attributes:
        title: As published.
        run: The name of the run that measures it; empty: each reading names its own.
        task: Its task.
        words: What stands for `{name}` in the variants and methods of the rows.
    """

    title: str
    run: str = ""
    task: str = ""
    words: dict[str, str] = {}


class PaperTableRow(_Entry):
    """A row of a table: the published numbers, and which stored numbers they are compared with.

    Attributes:
        title: As published.
        published: One number a column; nan where there is none. A text is a statement: `> 0`.
        of: What is read.
        combine: `value`: the stored number. `mean`: its mean over tasks. `difference`: the first less the mean of the others.
            `remainder`: the same where each instance's is between 0 and 1, such as what is still right after a loss. `gain`: the
            first over the mean of the others, less 1. `rank-correlation`: Spearman's between two numbers, over tasks.
            `agreement`: mean over instances of Spearman's between the sizes of two methods' scores of words;
            `agreement-difference`: that of the first with the third, less that of the second. `cells`: a metric of scope
            `cells`, on two tasks or on all seeds.
        scale: Factor on our number, such as 100 for percent.
        tolerance: How far numbers may lie apart besides our interval; None: half of the last digit printed.
        digits: Digits printed after the point; None: those of the table.
        not_comparable: Why the numbers cannot be compared, if they cannot.
        same_shape: Whether they can only be compared on a model of the same size.
        place: Where the row stands, if not where the table does.
    """

    title: str
    published: tuple[PublishedNumber, ...]
    of: Annotated[tuple[NumberSource, ...], Field(min_length=1)]
    combine: Combination = "value"
    scale: float = 1.0
    tolerance: float | None = None
    digits: int | None = None
    not_comparable: str = ""
    same_shape: bool = False
    place: str = ""


class PublishedTable(_Entry):
    """A table, a figure or a list of claims.

    Attributes:
        title: What it shows.
        place: Where it stands in the paper.
        digits: Digits printed after the point.
        note: How to read it here.
        columns: Its columns.
        rows: Its rows.
    """

    title: str
    place: str
    digits: int = 2
    note: str = ""
    columns: Annotated[tuple[PaperTableColumn, ...], Field(min_length=1)]
    rows: Annotated[tuple[PaperTableRow, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _check_widths(self) -> Self:
        for row in self.rows:
            if len(row.published) != len(self.columns):
                raise ValueError(f"row {row.title!r} has {len(row.published)} numbers for {len(self.columns)} columns")
        return self


class NotCovered(_Entry):
    """Something that the paper reports and no run here measures.

    Attributes:
        what: The table, figure or number.
        why: Why it is left out.
    """

    what: str
    why: str


class Paper(_Entry):
    """A paper whose numbers can be measured again.

    Attributes:
        name: What `flowgauge reproduce` calls it.
        title: As published.
        authors: With the year.
        venue: Where it was published.
        runs: The runs that measure its numbers.
        tables: Its tables and claims.
        missing: What is not measured.
    """

    name: str
    title: str
    authors: str
    venue: str
    runs: Annotated[tuple[PaperRun, ...], Field(min_length=1)]
    tables: Annotated[tuple[PublishedTable, ...], Field(min_length=1)]
    missing: tuple[NotCovered, ...] = ()

    @model_validator(mode="after")
    def _check_sources(self) -> Self:
        for table, row, column, sources in self.places():
            where = f"{table.title!r}, row {row.title!r}, column {column.title!r}"
            if row.combine in OF_ONE_TASK and "*" in {source.task for source in sources}:
                raise ValueError(f"{where} reads all tasks, and {row.combine!r} is of one")
            for source in sources:
                for run in self.runs_of(source):
                    if source.method not in run.methods:
                        raise ValueError(f"{where} reads a method {source.method!r}, which run {run.name!r} does not have")
                    if row.combine not in EXPLANATIONS and source.metric not in run.metrics:
                        raise ValueError(f"{where} reads a metric {source.metric!r}, which run {run.name!r} does not have")
                if len(self.runs_of(source)) < len(source.run_names):
                    raise ValueError(f"{where} reads a run {source.run!r}, which there is not")
        return self

    def runs_of(self, source: NumberSource) -> tuple[PaperRun, ...]:
        """The runs whose cells a source reads, in the order of the file."""
        return tuple(run for run in self.runs if run.name in source.run_names)

    def places(self) -> Iterator[tuple[PublishedTable, PaperTableRow, PaperTableColumn, tuple[NumberSource, ...]]]:
        """Every place of every table that has a published number, with what is read for it."""
        for table in self.tables:
            for row in table.rows:
                for column, published in zip(table.columns, row.published, strict=True):
                    if published == published:
                        yield table, row, column, tuple(_written_out(source, column) for source in row.of)


def load_paper(name: str | Path) -> Paper:
    """A paper by its name, or a file of your own.

    Raises:
        UsageError: No such paper, with near matches; a file that cannot be read or is no paper, with what is wrong in it.
    """
    packaged = {file.stem: file for file in PAPERS.glob("*.toml")}
    path = Path(name) if Path(name).suffix == ".toml" else packaged.get(str(name))
    if path is None:
        raise UnknownName("paper", str(name), packaged, "A paper of your own is a file with a name ending in .toml.")
    try:
        stored = tomllib.loads(read_text(path, "paper"))
        return Paper(**{"name": path.stem, **stored})
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"the paper {path} is not TOML that can be read: {shortened(str(error))}.") from error
    except (ValidationError, TypeError) as error:
        faults = error.errors() if isinstance(error, ValidationError) else []
        said = [f"{'.'.join(map(str, e['loc'])) or 'it'}: {e['msg'].removeprefix('Value error, ')}" for e in faults[:3]]
        raise UsageError(f"the paper {path} is refused: {shortened('; '.join(said) or str(error), 500)}.") from error


def _changed(named: Mapping[str, str], changes: Mapping[str, str]) -> dict[str, str]:
    """Plug-ins by name with changes; an empty one is left out."""
    return {name: spec for name, spec in {**named, **changes}.items() if spec}


def _written_out(source: NumberSource, column: PaperTableColumn) -> NumberSource:
    """A source with the run, task and words of its column."""
    words = {name: _with_words(getattr(source, name), column) for name in ("method", "variant", "condition")}
    return source.model_copy(update={"run": source.run or column.run, "task": source.task or column.task, **words})


def _with_words(text: str, column: PaperTableColumn) -> str:
    for name, word in column.words.items():
        text = text.replace(f"{{{name}}}", word)
    if "{" in text:
        raise ValueError(f"column {column.title!r} has no word for {quoted(text, 100)}")
    return text
