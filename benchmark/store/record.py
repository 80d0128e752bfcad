"""What a cell and a training leave behind: `record.json` and `fit.json`. No torch: leaderboards read them on any machine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from ...metrics.scores import Aggregate, Number

SCHEMA = 3
"""Raised by any change of the record or of the explanation files that older readers would misread."""

Status = Literal["done", "partial", "failed", "not-applicable"]
FINAL = ("done", "not-applicable")
"""States of a cell or a score in which nothing is left to do."""


class _Stored(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, ser_json_inf_nan="strings")


class Score(_Stored):
    """One metric's answer for a cell.

    Attributes:
        metric: Identity: `name@version`, and an 8-hex suffix where settings differ from the defaults or it is a user's file.
        status: `not-applicable` and `failed` say why in `reason` and have no aggregates.
        ranked: The variant that tables and rankings use.
        reference: Folder name of the cell whose budget it was matched to, or empty.
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
    """What explaining took. A shared trace is paid by the first method in `own_seconds`, by the others in `charged_seconds`.

    Attributes:
        seconds: (own + charged) / explanations.
        explanations: Gold ones, and guided ones computed for wrongly predicted instances.
        peak_bytes: Largest memory of the process (CPU) or allocated on the device (GPU) while explaining; 0: unknown.
    """

    seconds: float
    own_seconds: float
    charged_seconds: float
    explanations: int
    peak_bytes: int


class Provenance(_Stored):
    """Where and with what a cell was computed; no part of its key."""

    flowgauge: str
    python: str
    platform: str
    packages: dict[str, str]
    device: str
    threads: int
    batch_size: int


class Record(_Stored):
    """One cell.

    Attributes:
        schema_version: `SCHEMA` when written.
        cell: First 12 hex digits of the key's sha256.
        key: Everything that may change a number (`benchmark.key`).
        status: `partial`: explained, but a metric failed; `failed` and `not-applicable` say why in `error`.
        instances: How many were explained.
        skipped: Why others were left out, one line each.
        cut: How many texts were cut to what the model reads.
        labels: The model's output that each class of the task was read from.
        scores: By metric identity.
        asked: Model, task, columns and method in the words of whoever ran it, for scoring again.
        files: Sha256 of each stored file, by its name in the cell.
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

    @property
    def aggregates(self) -> Mapping[str, tuple[Aggregate, ...]]:
        """Aggregates of every metric that has a score."""
        return {name: score.aggregates for name, score in self.scores.items() if score.status == "done"}

    @property
    def folder(self) -> str:
        """Its folder below model and task: `<method>-<12 hex>`."""
        return f"{self.method}-{self.cell}"


class TrainingRecord(_Stored):
    """The record of one training.

    Attributes:
        key: Everything that may change what was trained.
        status: `failed` fits keep their curve; the same run trains them anew.
        error: Why it failed.
        seconds: Of training, over all sessions.
        curve: One row a logged step.
        weights: Sha256 of the weights file; empty where the training failed.
    """

    schema_version: int = 1
    key: dict[str, Any]
    status: Literal["done", "failed"]
    error: str = ""
    seconds: float
    curve: list[dict[str, Number]]
    weights: str = ""
