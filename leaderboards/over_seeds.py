"""Scores of cells that differ in their seed alone, taken over these seeds. No torch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from ..benchmark.key import canonical
from ..benchmark.record import Aggregate, Record
from ..core.errors import UsageError
from .groups import Group, groups
from .text import number

COLUMNS = (
    "model", "task", "note", "method", "metric", "variant", "seeds", "undefined", "instances", "mean", "low", "high", "smallest",
    "largest", "higher_is_better", "unit",
)  # fmt: skip
HEAD = ("method", "metric/variant", "mean", "95 % CI", "range", "n", "seeds")


def over_seeds(records: Sequence[Record]) -> pd.DataFrame:
    """Mean, 95 % t-interval of the mean, and range over seeds, one row a method and variant of a metric.

    Cells stand together that differ in their seed alone, or in that of a model made on the spot (`toy-counting:seed=3`); each
    counts once. The interval says how far training and drawing move a score on these instances, not how far other instances
    would. It assumes a normal distribution, so it may pass a metric's bounds; NaN for one seed. `undefined` counts cells without
    a number, which are left out of the mean; `seeds` counts the others, and `instances` is the fewest that one of them rests on.

    Raises:
        UsageError: No two cells differ in their seed alone.
    """
    table = pd.DataFrame([row for group in groups(records, over_seeds=True) for row in _rows(group)], columns=list(COLUMNS))
    if not (table["seeds"] + table["undefined"] > 1).any():
        raise UsageError(
            "no two scored cells differ in their seed alone; the same `flowgauge run` with another --seed adds some."
        )
    return table


def sections(table: pd.DataFrame) -> Iterator[tuple[str, list[tuple[str, ...]], list[str]]]:
    """For every model and task a title, rows below a head, and no remarks."""
    for (model, task, note), part in table.groupby(["model", "task", "note"], sort=False):
        named = f"{model} on {task}{f', {note}' if note else ''}, over seeds"
        yield named, [HEAD, *map(_line, part.to_dict("records"))], []


def _line(row: dict[str, Any]) -> tuple[str, ...]:
    mean, low, high, least, most = (number(row[key], "share") for key in ("mean", "low", "high", "smallest", "largest"))
    count = f"{row['seeds']} of {row['seeds'] + row['undefined']}" if row["undefined"] else str(row["seeds"])
    return (
        row["method"], f"{row['metric']}/{row['variant']}", mean if row["seeds"] else "n/a",
        f"[{low}, {high}]" if row["low"] == row["low"] else "", f"{least} to {most}" if row["seeds"] > 1 else "",
        str(row["instances"]), count,
    )  # fmt: skip


def _rows(group: Group) -> Iterator[dict[str, Any]]:
    alike: dict[tuple[str, str], list[Record]] = {}
    for name, record in zip(group.methods(), group.records, strict=True):
        alike.setdefault((name, canonical(record.key.get("method"))), []).append(record)
    shared = {"model": group.model, "task": group.task, "note": group.note}
    versions = Counter(name for name, _ in alike)
    for (name, _), records in alike.items():
        method = name if versions[name] == 1 else f"{name} #{records[0].cell[:6]}"  # a plug-in that was edited between two runs
        scores = {metric: score for record in records for metric, score in record.scores.items()}
        for metric, score in scores.items():
            told = {"method": method, "metric": metric, "higher_is_better": score.higher_is_better, "unit": score.unit}
            every = [{a.variant: a for a in r.scores[metric].aggregates} if metric in r.scores else {} for r in records]
            for variant in dict.fromkeys(variant for found in every for variant in found):
                yield {**shared, **told, "variant": variant, **_over([found.get(variant) for found in every])}


def _over(every: Sequence[Aggregate | None]) -> dict[str, float]:
    known = [one for one in every if one is not None and one.value == one.value]
    values = np.array([one.value for one in known])
    low, high = _interval(values)
    mean, smallest, largest = (values.mean(), values.min(), values.max()) if known else (np.nan,) * 3
    return {
        "seeds": len(known), "undefined": len(every) - len(known), "instances": min((one.count for one in known), default=0),
        "mean": mean, "low": low, "high": high, "smallest": smallest, "largest": largest,
    }  # fmt: skip


def _interval(values: np.ndarray) -> tuple[float, float]:
    if len(values) < 2 or not np.isfinite(values).all():
        return np.nan, np.nan
    if not np.ptp(values):  # of which scipy's is NaN
        return values[0], values[0]
    return stats.t.interval(0.95, len(values) - 1, values.mean(), stats.sem(values))
