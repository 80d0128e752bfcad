"""The values that metrics return, and the explained cells that metrics of scope `cells` compare."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import pandas as pd
from pydantic import BeforeValidator, PlainSerializer, SerializerFunctionWrapHandler, WithJsonSchema, model_serializer

from ..methods.explanation import Explanation
from ..tasks.instance import Instance

COLUMNS = {
    "instance": "string",
    "condition": "string",
    "cluster": "string",
    "variant": "string",
    "draw": "int64",
    "value": "float64",
    "reason": "string",
}


def _read_number(value: Any) -> Any:
    return math.nan if value is None else float(value) if value in ("inf", "-inf") else value


def _write_number(value: float) -> float | str | None:
    return None if math.isnan(value) else str(value) if math.isinf(value) else value


_AS_JSON = WithJsonSchema({"anyOf": [{"type": "number"}, {"type": "null"}, {"enum": ["inf", "-inf"]}]})
Number = Annotated[float, BeforeValidator(_read_number), PlainSerializer(_write_number, when_used="json"), _AS_JSON]
"""A float whose NaN is null and whose infinities are text in JSON, wherever a record stores it."""


def with_interval(value: float, low: float, high: float, count: int = 0, reason: str = "", clusters: int | None = None) -> str:
    """A number with its interval, or why it has none, as tables of text print it.

    >>> with_interval(0.75, 0.5, 1.0), with_interval(0.75, math.nan, math.nan, 64)
    ('0.750 [0.500, 1.000]', '0.750 [no spread]')
    """
    return f"{value:.3f} [{f'{low:.3f}, {high:.3f}' if low == low else without_interval(count, reason, clusters)}]"


def count_in_words(count: int, clusters: int | None = None) -> str:
    """How many instances a number rests on, and in how many clusters they are.

    >>> count_in_words(64), count_in_words(1), count_in_words(64, 20), count_in_words(4, 1)
    ('64 instances', '1 instance', '64 instances in 20 clusters', '4 instances in one cluster')
    """
    inside = "" if clusters is None else " in one cluster" if clusters == 1 else f" in {clusters} clusters"
    return f"{count} instance{'' if count == 1 else 's'}{inside}"


NO_INTERVAL = "an interval needs"
"""How the reason begins for which a number has no interval, where that is not for want of instances or of spread."""


def without_interval(count: int, reason: str = "", clusters: int | None = None) -> str:
    """Why a number that rests on so many instances, in so many clusters, has no interval.

    >>> without_interval(1), without_interval(64), without_interval(16, "an interval needs 32 instances, and there are 16.")
    ('one instance', 'no spread', 'no interval')
    """
    few = "one instance" if count == 1 else "one cluster" if clusters == 1 else ""
    return few or ("no interval" if NO_INTERVAL in reason else "no spread")


@dataclass(frozen=True)
class Aggregate:
    """The summary of a variant: its mean over instances with the 95 % interval.

    `count` instances have a value and `undefined` have none, most of them for `reason`. `sd_draws` is the standard deviation over
    draws. The interval of a single instance, and of instances with equal scores, is NaN. `bias` is how far the value lies from
    the truth on average, as the jackknife estimates it; the interval is corrected for it. None: 0 or unknown. Where
    instances are too few for an interval, `reason` says so. `clusters` is how many clusters the instances are in, which the
    interval is over; None, and absent from a record: each is by itself. Records store all else as it is.
    """

    variant: str
    value: Number
    low: Number
    high: Number
    count: int
    undefined: int = 0
    sd_draws: Number | None = None
    reason: str = ""
    bias: Number | None = None
    clusters: int | None = None

    @model_serializer(mode="wrap")
    def _stored(self, as_it_is: SerializerFunctionWrapHandler) -> dict[str, Any]:
        stored: dict[str, Any] = as_it_is(self)
        if stored["clusters"] is None:
            del stored["clusters"]
        return stored


@dataclass(frozen=True, eq=False)
class Scores:
    """The scores that a metric gives.

    Attributes:
        rows: One row for each instance, variant and draw, with the columns of `COLUMNS`; a NaN value needs a reason.
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


@dataclass(frozen=True, eq=False)
class ExplainedCell:
    """The stored explanations of one cell, without the model: what metrics of scope `cells` compare.

    Such a metric has `compare(*cells: ExplainedCell) -> tuple[Aggregate, ...]`, which raises `NotApplicable` with the reason
    where a view cannot be had. With a class attribute `across` of `seeds` it gets all cells that differ in their seed alone;
    without it, two cells of one method on two tasks.

    Attributes:
        names: Ids of the instances.
        conditions: The condition of each instance.
        gold: One explanation an instance, of the gold answer; read from the store as one goes through them.
        clusters: The cluster of each instance, empty where it is in none; empty: so are all.
    """

    names: tuple[str, ...]
    conditions: tuple[str, ...]
    gold: Iterable[Explanation]
    clusters: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.names or len(self.names) != len(self.conditions):
            raise ValueError(f"a cell needs a condition an instance, got {len(self.conditions)} for {len(self.names)}.")
        if len(self.clusters) not in (0, len(self.names)):
            raise ValueError(f"a cell needs a cluster an instance or none, got {len(self.clusters)} for {len(self.names)}.")


def score_row(instance: Instance, variant: str, value: float, draw: int = 0, reason: str = "") -> dict[str, Any]:
    """One row of `Scores.rows`.

    Args:
        instance: The scored instance; its id, condition and cluster go into the row.
        variant: Name of the number.
        value: NaN where it is undefined.
        draw: Which draw of the explanation was scored.
        reason: Why a NaN is undefined, as a sentence: tables show it after "n/a: ".
    """
    cells = (instance.id, instance.condition, instance.cluster, variant, draw, value, reason)
    return dict(zip(COLUMNS, cells, strict=True))


def frame(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Rows as the typed table that `Scores` holds, also when there are none."""
    return pd.DataFrame(list(rows), columns=list(COLUMNS)).astype(COLUMNS)
