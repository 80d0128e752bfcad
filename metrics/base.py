"""The values a metric takes and gives: `Shown` batches of explained instances, and `Scores`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import pandas as pd

from ..methods.explanation import Explanation
from ..models.batch import Batch
from ..models.model import FlowModel
from ..tasks.instance import Instance

Scope = Literal["instance", "set", "cells"]
COLUMNS = {"instance": "string", "condition": "string", "variant": "string", "draw": "int64", "value": "float64", "reason": "string"}


@dataclass(frozen=True, eq=False)
class Shown:
    """One batch of explained instances.

    Attributes:
        batch: As the method saw it, gold answers.
        predicted: The same rows with q taken for the class the model predicts on the clean input.
        instances: The task's instances, planted answers included.
        gold: One explanation an instance of the gold quantity.
        guided: One explanation an instance of the predicted quantity (the same object where the prediction is right).
    """

    batch: Batch
    predicted: Batch
    instances: tuple[Instance, ...]
    gold: tuple[Explanation, ...]
    guided: tuple[Explanation, ...]

    def __post_init__(self) -> None:
        sizes = {len(self.batch), len(self.predicted), len(self.instances), len(self.gold), len(self.guided)}
        if len(sizes) != 1:
            raise ValueError(f"a shown batch must have one explanation an instance, got sizes {sorted(sizes)}.")


@dataclass(frozen=True)
class Aggregate:
    """A variant's summary: mean with its 95 % interval, how many instances it rests on and how many were undefined."""

    variant: str
    value: float
    low: float
    high: float
    count: int
    undefined: int = 0
    sd_draws: float | None = None
    reason: str = ""


@dataclass(frozen=True, eq=False)
class Scores:
    """What a metric found.

    Attributes:
        rows: One row an (instance, variant, draw) with the columns of `COLUMNS`; value NaN needs a reason.
        aggregates: For metrics whose summary is not the mean of the rows (scope `set`); otherwise empty, and the benchmark
            summarises the rows with `metrics.summary.summarise`.
    """

    rows: pd.DataFrame
    aggregates: tuple[Aggregate, ...] = ()

    def __post_init__(self) -> None:
        if list(self.rows.columns) != list(COLUMNS):
            raise ValueError(f"score rows need the columns {list(COLUMNS)}, got {list(self.rows.columns)}.")
        unexplained = self.rows[self.rows["value"].isna() & (self.rows["reason"].fillna("") == "")]
        if len(unexplained):
            raise ValueError(f"{len(unexplained)} scores are NaN without a reason, first for {unexplained.iloc[0]['instance']!r}.")


class Metric(Protocol):
    """One question about explanations.

    Attributes:
        name: As on the command line.
        version: Raised by any change that moves scores.
        scope: `instance` (one number each), `set` (one number for all) or `cells` (over several cells).
        reads: The view it needs, or a view it can be derived from (`views.py`).
        higher_is_better: None where neither end is better.
        bounds: Smallest and largest possible value, None where unbounded.
        unit: Such as `share of instances`.
        source: Where the metric was defined.
        reference: Name of the method whose budget it is matched to, or None.
    """

    name: str
    version: int
    scope: Scope
    reads: str
    higher_is_better: bool | None
    bounds: tuple[float | None, float | None]
    unit: str
    source: str
    reference: str | None

    def score(self, model: FlowModel, shown: Sequence[Shown], reference: Sequence[Shown] | None) -> Scores:
        """Scores every instance; raises `NotApplicable` with the reason where the view cannot be had."""
        ...


def score_row(instance: Instance, variant: str, value: float, draw: int = 0, reason: str = "") -> dict[str, Any]:
    """One row of `Scores.rows`."""
    return {"instance": instance.id, "condition": instance.condition, "variant": variant, "draw": draw, "value": value, "reason": reason}


def frame(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Rows as the typed table that `Scores` wants, also when there are none."""
    return pd.DataFrame(list(rows), columns=list(COLUMNS)).astype(COLUMNS)
