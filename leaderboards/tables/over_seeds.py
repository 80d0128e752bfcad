"""Means, intervals and ranges over cells that differ in their seed alone: what `flowgauge show --over-seeds` prints."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from ...benchmark.store.key import canonical
from ...benchmark.store.record import Record
from ...core.errors import UsageError
from ...core.registry import Spec
from ...models.registry import is_built
from ..stored.comparable_cells import ComparableCells, groups, method_labels
from .show import Notes, number

COLUMNS = (
    "model", "task", "note", "method", "metric", "variant", "seeds", "undefined", "instances", "mean", "low", "high", "smallest",
    "largest", "higher_is_better", "unit", "reason",
)  # fmt: skip
HEAD = ("method", "metric/variant", "mean", "95 % CI", "range", "n", "seeds")
ModelSeeds = Mapping[str, Any]
"""The seed of a cell's model, by the digits of the cell; cells of models without a seed are not in it."""


def over_seeds(records: Sequence[Record]) -> pd.DataFrame:
    """Mean, 95 % t-interval of the mean, and range over seeds, one row a method and variant of a metric.

    Cells stand together that differ in their seed alone, or in the seed of a model that is built by name (`toy-counting:seed=3`;
    0 if none is named), whose task may draw other instances with it. Where both differ, cells of one model are averaged first,
    since they are not independent. The interval says how far training and drawing move a score, not how far other instances
    would. It assumes a normal distribution, so it may pass a metric's bounds; it is NaN for one seed.

    Args:
        records: Of a store.

    Returns:
        Rows with the columns `COLUMNS`. `undefined` counts seeds without a number, which are left out of the mean (`reason` says
        why); `seeds` counts the others, and `instances` is the fewest that one of them rests on.

    Raises:
        UsageError: No two cells differ in their seed alone, or two of one seed differ in weights or instances.
    """
    plain, seeds = _without_seeds(records)
    rows = [row for group in groups(plain) for row in _rows(group, seeds)]
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    if not (table["seeds"] + table["undefined"] > 1).any():
        raise UsageError("no two cells differ in their seed alone; the same `flowgauge run` with another --seed adds some.")
    return table


def sections(table: pd.DataFrame) -> Iterator[tuple[str, list[tuple[str, ...]], list[str]]]:
    """Texts of a table for every model and task.

    Args:
        table: From `over_seeds`.

    Yields:
        A title, lines of cells below a head, and the reasons for missing numbers.
    """
    for (model, task, note), part in table.groupby(["model", "task", "note"], sort=False):
        notes = Notes()
        lines = [_line(row, notes) for row in part.to_dict("records")]
        yield f"{model} on {task}{f', {note}' if note else ''}, over seeds", [HEAD, *lines], notes.lines()


def _line(row: Mapping[str, Any], notes: Notes) -> tuple[str, ...]:
    mean, low, high, least, most = (number(row[key], "small") for key in ("mean", "low", "high", "smallest", "largest"))
    count = f"{row['seeds']} of {row['seeds'] + row['undefined']}" if row["undefined"] else str(row["seeds"])
    return (
        row["method"], "/".join(filter(None, (row["metric"], row["variant"]))),
        mean if row["mean"] == row["mean"] else notes.mark(row["reason"]),
        f"[{low}, {high}]" if row["low"] == row["low"] else "", f"{least} to {most}" if row["seeds"] > 1 else "",
        str(row["instances"] or ""), count,
    )  # fmt: skip


def _without_seeds(records: Sequence[Record]) -> tuple[list[Record], ModelSeeds]:
    """Records that differ in nothing but the seed of their model get the same model name and question; with these seeds."""
    specs = {record.model: Spec.parse(record.model) for record in records if is_built(record.model)}
    plain = {model: _seedless(spec) for model, spec in specs.items()}
    seeded = {plain[model] for model, spec in specs.items() if "seed" in spec.settings}
    plain_records, seeds = [], {}
    for record in records:
        name = plain.get(record.model, "")
        if name not in seeded:
            plain_records.append(record)
            continue
        seeds[record.cell] = specs[record.model].settings.get("seed", 0)
        key = {**record.key, "fingerprint": "", "task": _drawn_alike(record.key.get("task"))}
        plain_records.append(record.model_copy(update={"model": name, "key": key}))
    return plain_records, seeds


def _seedless(spec: Spec) -> str:
    """A model's name without its seed.

    >>> _seedless(Spec.parse("planted:seed=1,noise=0.3,hops=2")), _seedless(Spec.parse("toy-counting:seed=3"))
    ('planted:hops=2,noise=0.3', 'toy-counting')
    """
    kept = ",".join(f"{name}={value}" for name, value in sorted(spec.settings.items()) if name != "seed")
    return f"{spec.name}:{kept}" if kept else spec.name


def _drawn_alike(task: Mapping[str, Any] | None) -> dict[str, Any]:
    """A task's key without its instances, which may follow the model's seed."""
    return {name: value for name, value in (task or {}).items() if name != "fingerprint"}


def _rows(group: ComparableCells, seeds: ModelSeeds) -> Iterator[dict[str, Any]]:
    alike: dict[tuple[str, str], list[Record]] = {}
    for name, record in zip(method_labels(group.records, seeds=False), group.records, strict=True):
        trained_on = record.key.get("trained_on")
        trained_on = _drawn_alike(trained_on) if record.cell in seeds else trained_on
        same = canonical([record.key.get("method"), trained_on, record.key.get("explanations")])
        alike.setdefault((name, same), []).append(record)
    versions = Counter(name for name, _ in alike)
    for (name, _), records in alike.items():
        # Methods of one name that were edited between two runs, or trained on other instances, stand apart.
        method = name if versions[name] == 1 else f"{name} #{records[0].cell[:6]}"
        shared = {"model": group.model, "task": group.task, "note": group.note, "method": method}
        units = _units(f"{method} on {group.model}, {group.task}", records, seeds)
        scores = {metric: score for record in records for metric, score in record.scores.items()}
        for metric, score in scores.items():
            metric_fields = {"metric": metric, "higher_is_better": score.higher_is_better, "unit": score.unit}
            variants = [a.variant for record in records if metric in record.scores for a in record.scores[metric].aggregates]
            for variant in dict.fromkeys(variants) or (score.ranked,):
                yield {**shared, **metric_fields, "variant": variant, **_summary(units, metric, variant)}
        if not scores:
            yield {**shared, "metric": "", "variant": "", "unit": "", **_summary(units, "", "")}


def _units(what: str, records: Sequence[Record], seeds: ModelSeeds) -> list[list[Record]]:
    """The cells of every independent unit: models of several seeds, with the cells of each; else single cells.

    Raises:
        UsageError: Two different cells have the same seed.
    """
    by_model: dict[Any, dict[int | None, Record]] = {}
    for record in records:
        twin = by_model.setdefault(seeds.get(record.cell), {}).setdefault(record.seed, record)
        if twin.cell != record.cell:
            raise UsageError(
                f"{what}: the cells {twin.cell} and {record.cell} have the same seed and differ in weights or instances; "
                "keep them in stores of their own."
            )
    units = [list(of_model.values()) for of_model in by_model.values()]
    return units if len(units) > 1 else [[record] for unit in units for record in unit]


@np.errstate(invalid="ignore", over="ignore")
def _summary(units: Sequence[Sequence[Record]], metric: str, variant: str) -> dict[str, Any]:
    numbers = [[_read(record, metric, variant) for record in unit] for unit in units]
    known = [[(value, count) for value, count, _ in unit if value == value] for unit in numbers]
    values = [float(np.mean([value for value, _ in unit])) for unit in known if unit]
    mean = float(np.mean(values)) if values else np.nan
    low, high = _interval(np.array(values))
    return {
        "seeds": len(values), "undefined": len(units) - len(values),
        "instances": min((count for unit in known for _, count in unit), default=0),
        "reason": next((why for unit in numbers for *_, why in unit if why), ""),
        "mean": mean, "low": low, "high": high, "smallest": min(values, default=np.nan), "largest": max(values, default=np.nan),
    }  # fmt: skip


def _read(record: Record, metric: str, variant: str) -> tuple[float, int, str]:
    """A cell's number, how many instances it rests on, and why it is NaN."""
    score = record.scores.get(metric)
    aggregate = score.aggregate(variant) if score else None
    if aggregate is not None and aggregate.value == aggregate.value:
        return aggregate.value, aggregate.count, ""
    reason = aggregate.reason if aggregate else score.reason if score else record.error
    return np.nan, 0, reason or record.status


def _interval(values: np.ndarray) -> tuple[float, float]:
    """Student's t interval of the mean: the variance is estimated from a handful of seeds."""
    if len(values) < 2 or not np.isfinite(values).all():
        return np.nan, np.nan
    if not np.ptp(values):  # SciPy's interval of equal values is NaN
        return values[0], values[0]
    low, high = stats.t.interval(0.95, len(values) - 1, values.mean(), stats.sem(values))
    return float(low), float(high)
