"""What metrics return: `Scores` (one row an instance) and `Aggregate` (one summary a variant). No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ..tasks.instance import Instance

COLUMNS = {
    "instance": "string",
    "condition": "string",
    "variant": "string",
    "draw": "int64",
    "value": "float64",
    "reason": "string",
}


@dataclass(frozen=True)
class Aggregate:
    """A variant's summary: mean with its 95 % interval, how many instances it rests on and how many were undefined.

    The interval of a single instance is NaN: it cannot be bootstrapped.
    """

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
            raise ValueError(
                f"{len(unexplained)} scores are NaN without a reason, first for {unexplained.iloc[0]['instance']!r}."
            )


def score_row(instance: Instance, variant: str, value: float, draw: int = 0, reason: str = "") -> dict[str, Any]:
    """One row of `Scores.rows`."""
    return {
        "instance": instance.id,
        "condition": instance.condition,
        "variant": variant,
        "draw": draw,
        "value": value,
        "reason": reason,
    }


def frame(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Rows as the typed table that `Scores` wants, also when there are none."""
    return pd.DataFrame(list(rows), columns=list(COLUMNS)).astype(COLUMNS)
