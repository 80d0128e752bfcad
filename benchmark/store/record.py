"""The records of cells and of trainings, as stored in `record.json` and `fit.json`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from ...core.errors import FlowgaugeError
from ...core.text_files import parse_json
from ...metrics.scores import Aggregate, Number
from ...metrics.statistics.intervals import INTERVALS
from .sums import sealed_json, without_seal

SCHEMA = 3
"""Raised by any change of the record or of the explanation files that older readers would misread."""

Status = Literal["done", "partial", "failed", "not-applicable"]
FINAL = ("done", "not-applicable")
"""States of a cell or a score in which nothing is left to do."""
EXPLAINED = ("done", "partial")
"""States of a cell all of whose explanations are stored."""


def check_schema(stored: int, known: int, where: object, error: type[FlowgaugeError] = FlowgaugeError) -> None:
    """Refuses a file of a format that is newer than the one this flowgauge reads.

    Args:
        stored: Version of the file's format.
        known: Newest version that can be read.
        where: The file or the cell, for the message.
        error: The class of the error.

    Raises:
        FlowgaugeError: A newer flowgauge wrote the file.

    >>> check_schema(2, 3, "record.json")
    """
    if stored > known:
        raise error(f"{where} has schema {stored}, this flowgauge reads up to {known}: install a newer flowgauge.")


def _check_intervals(stored: int) -> int:
    """Refuses intervals of a later version, which this flowgauge can neither compute nor check.

    Raises:
        FlowgaugeError: A newer flowgauge computed them.
    """
    if stored > INTERVALS:
        raise FlowgaugeError(
            f"a score has intervals of version {stored}, this flowgauge knows those up to {INTERVALS}: install a newer flowgauge."
        )
    return stored


def _is_part(stored: Any, written: Any) -> bool:
    """Whether JSON has the values and types of what is written anew; fields may be missing, and a whole number is a fraction."""
    if isinstance(stored, dict) and isinstance(written, dict):
        return stored.keys() <= written.keys() and all(_is_part(value, written[name]) for name, value in stored.items())
    if isinstance(stored, list) and isinstance(written, list):
        return len(stored) == len(written) and all(map(_is_part, stored, written))
    return bool(stored == written) and type(stored) in (type(written), int if type(written) is float else type(written))


class _Stored(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="strings")


def _describe_seal(schema: dict[str, Any]) -> None:
    schema["properties"]["seal"] = {
        "type": "string",
        "description": "`flowgauge-seal:` and the sha256 of the file, taken while 64 zeros stood in the place of that sum.",
    }


class _SealedRecord(_Stored):
    """A record in a JSON file of its own, which holds its own sum."""

    model_config = ConfigDict(json_schema_extra=_describe_seal)

    @model_validator(mode="before")
    @classmethod
    def _drop_seal(cls, stored: Any) -> Any:
        return without_seal(stored)

    @classmethod
    def read_strictly(cls, data: bytes) -> Self:
        """Reads a file of anyone's, in which every value has the type that flowgauge writes, and no key stands twice.

        Raises:
            ValueError: It is no JSON, or no such record.
        """
        stored = without_seal(parse_json(data))
        record = cls.model_validate(stored)
        if not _is_part(stored, record.model_dump(mode="json")):
            raise ValueError("a value has another type than flowgauge writes")
        return record

    def to_bytes(self) -> bytes:
        """The file of the record, sealed."""
        return sealed_json(self.model_dump_json(indent=1))


class Score(_Stored):
    """The score of one cell by one metric.

    Attributes:
        metric: Identity of the metric: `name@version`, and an 8-hex suffix where settings differ from the defaults or it is a
            user's file.
        status: Of a score that is `not-applicable` or `failed`, `reason` says why; it has no aggregates.
        ranked: The variant that tables and rankings use.
        intervals: Which intervals its aggregates have: 1, bootstrapped by versions up to 0.1; 2, `metrics.statistics.intervals`.
        reference: Folder name of the cell whose budget the score was matched to; empty where it was matched to none.
    """

    model_config = ConfigDict(revalidate_instances="always")  # aggregates come from metrics of plug-ins, too

    metric: str
    name: str
    version: int
    settings: dict[str, Any]
    status: Literal["done", "failed", "not-applicable"] = "done"
    reason: str = ""
    aggregates: tuple[Aggregate, ...] = ()
    reference: str = ""
    ranked: str = ""
    intervals: Annotated[int, Field(ge=1), AfterValidator(_check_intervals)] = 1
    scope: str = "instance"
    reads: str = ""
    higher_is_better: bool | None = None
    bounds: tuple[float | None, float | None] = (None, None)
    unit: str = ""
    source: str = ""
    seconds: float = 0.0

    def aggregate(self, variant: str) -> Aggregate | None:
        """The summary of a variant; None where the score has no such variant."""
        return next((aggregate for aggregate in self.aggregates if aggregate.variant == variant), None)

    @property
    def ranked_aggregate(self) -> Aggregate | None:
        """The summary of the variant that tables and rankings use."""
        return self.aggregate(self.ranked)


class Cost(_Stored):
    """What explaining a cell took.

    Methods share traces of the model: the first one pays for a trace in `own_seconds`, each further one in `charged_seconds`.

    Attributes:
        seconds: Seconds an explanation: (own + charged) / explanations.
        own_seconds: Wall time that the method itself took (s).
        charged_seconds: Wall time of traces that other methods computed and this one used (s).
        explanations: Number of explanations: of gold answers, and of predicted ones where the prediction is wrong.
        peak_bytes: Largest memory of the process (CPU) or allocated on the device (GPU) while explaining; 0: unknown.
        passes: Forward passes of one sentence through all layers that an explanation takes, in fractions where a row enters at a
            later layer; the backward pass of a gradient is not counted. None: unknown, as in cells of version 0.1; 0 of a method
            that does not run flowgauge's layers.
        processor: Processor time of all threads that an explanation takes (s), with charged traces: unlike `seconds`, other
            programs on the machine do not move it. None: unknown, as in cells of version 0.1.
    """

    seconds: float
    own_seconds: float
    charged_seconds: float
    explanations: int
    peak_bytes: int
    passes: float | None = None
    processor: float | None = None

    @classmethod
    def of_parts(cls, parts: Sequence[Mapping[str, float]]) -> Cost | None:
        """What explaining a cell took in all; None where nothing is known.

        Args:
            parts: What each batch took, as its file says.
        """
        count = int(sum(part["explanations"] for part in parts))
        if not count:
            return None
        own, charged = sum(part["own_seconds"] for part in parts), sum(part["charged_seconds"] for part in parts)
        peak = int(max(part["peak_bytes"] for part in parts))
        passes, processor = (
            sum(part[name] for part in parts) / count if all(name in part for part in parts) else None
            for name in ("passes", "processor")
        )
        return cls(
            seconds=(own + charged) / count, own_seconds=own, charged_seconds=charged, explanations=count, peak_bytes=peak,
            passes=passes, processor=processor,
        )  # fmt: skip


class Provenance(_Stored):
    """The software and the machine that computed a cell; no part of its key.

    Attributes:
        packages: Version of each package whose code computes scores.
        commit: Git commit of flowgauge's source, followed by `+changes` where files differ from it; empty outside a checkout.
        command: The command line, its paths without their folders; empty where Python code called flowgauge.
    """

    flowgauge: str
    python: str
    platform: str
    packages: dict[str, str]
    device: str
    threads: int
    batch_size: int
    commit: str = ""
    command: str = ""


class TrainingOutcome(_Stored):
    """How the training of a method ended, as far as its cells have to say it.

    Attributes:
        converged: Whether it has converged; None: that could not be judged.
        warnings: What a reader of its numbers has to know.
        restarts: How often it went back to earlier parameters, because it could not meet its constraint from where it was.
        numbers: Further facts by name, such as the margin of DiffMask in nats.
    """

    converged: bool | None = None
    warnings: tuple[str, ...] = ()
    restarts: int = 0
    numbers: dict[str, Number] = {}


class Record(_SealedRecord):
    """The record of one cell: one model, task, method and seed.

    Attributes:
        schema_version: `SCHEMA` of the flowgauge that wrote it.
        cell: First 12 hex digits of the key's sha256.
        key: Everything that may change a number (`benchmark.store.key`).
        status: `partial` is explained, but a metric failed; of `failed` and `not-applicable` cells `error` says why.
        instances: Number of explained instances.
        skipped: Why other instances were left out, one line each.
        cut: Number of texts that were cut to the length that the model reads.
        labels: The model's output that each class of the task is read from.
        correct: Number of instances that the model predicts correctly; None of a model that gives a score.
        scores: Scores by metric identity.
        asked: Model, task, columns and method in the words of the user, so that the cell can be scored again.
        files: Sha256 of each stored file, by its name in the cell.
        sizes: Bytes of the same files; records of earlier versions have none.
        reference_only: Explained only because the budget of a metric is matched to it: tables leave it out until a run names it.
        training: How the training of its method ended; None of methods that are not trained, or do not say it.
    """

    schema_version: int = SCHEMA
    cell: str
    key: dict[str, Any]
    model: str
    task: str
    method: str
    seed: int | None
    settings: dict[str, Any]
    status: Status
    error: str = ""
    instances: int = 0
    skipped: tuple[str, ...] = ()
    cut: int = 0
    labels: dict[str, int] = {}
    correct: int | None = None
    scores: dict[str, Score] = {}
    cost: Cost | None = None
    provenance: Provenance
    task_source: str = ""
    asked: dict[str, Any] = {}
    started: str = ""
    finished: str = ""
    files: dict[str, str] = {}
    sizes: dict[str, int] = {}
    reference_only: bool = False
    training: TrainingOutcome | None = None

    @property
    def aggregates(self) -> Mapping[str, tuple[Aggregate, ...]]:
        """Aggregates of every metric that has a score."""
        return {name: score.aggregates for name, score in self.scores.items() if score.status == "done"}

    @property
    def folder(self) -> str:
        """The name of its folder, below model and task: `<method>-<12 hex>`."""
        return f"{self.method}-{self.cell}"


class TrainingRecord(_SealedRecord):
    """The record of one training.

    Attributes:
        key: Everything that may change the weights.
        status: A training that `failed` keeps its curve; the same run trains again.
        error: Why it failed.
        seconds: Duration of the training over all sessions (s).
        curve: One row a logged step.
        weights: Sha256 of the weights file; empty where the training failed.
        outcome: How the training ended; None where it failed, or its method does not say it.
    """

    schema_version: int = 1
    key: dict[str, Any]
    status: Literal["done", "failed"]
    error: str = ""
    seconds: float
    curve: list[dict[str, Number]]
    weights: str = ""
    outcome: TrainingOutcome | None = None
