"""Per-instance scores of a group of cells as one table, read from the store. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from jaxtyping import Bool, Float

from ...benchmark.store.cell import Cell
from ...benchmark.store.record import Record, Score
from .comparable_cells import ComparableCells, find_aggregate, find_score


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """One metric's scores of several methods on the same instances.

    Attributes:
        methods: Labels.
        values: Score of each method and instance, draws and seeds averaged; NaN where undefined.
        conditions: The group of each instance that resampling keeps apart.
        higher_is_better: None where neither end is better.
    """

    methods: tuple[str, ...]
    values: Float[np.ndarray, "methods instances"]
    conditions: tuple[str, ...]
    higher_is_better: bool | None = True

    def __post_init__(self) -> None:
        if self.values.shape != (len(self.methods), len(self.conditions)):
            raise ValueError(
                f"scores must be {(len(self.methods), len(self.conditions))} (methods, instances), got {self.values.shape}."
            )

    @property
    def common(self) -> Bool[np.ndarray, " instances"]:
        """Instances where every method has a score."""
        return ~np.isnan(self.values).any(0)


@dataclass(frozen=True, eq=False)
class StoredScores:
    """What a store has of one metric for a group.

    Attributes:
        scored: The methods that have scores.
        missing: Why other methods have none.
        instances: Id of each column.
    """

    scored: ScoreTable
    missing: dict[str, str]
    instances: tuple[str, ...]


class CellSource(Protocol):
    """Whatever knows where a record's cell is, such as a store."""

    def find(self, record: Record) -> Cell:
        """The cell a record belongs to."""


def ranked_variant(group: ComparableCells, metric: str) -> tuple[str, bool | None, str]:
    """The variant that rankings use of a metric, its direction and its unit, from the first cell that has it."""
    for record in group.records:
        score = find_score(record, metric)
        if score is not None and score.ranked:
            return score.ranked, score.higher_is_better, score.unit
    return "", None, ""


def read_scores(store: CellSource, group: ComparableCells, metric: str, variant: str = "") -> StoredScores:
    """Scores of every method of a group on one metric.

    Draws of an instance are averaged, and so are cells that differ in their seed alone. A method whose score is undefined for
    every instance has none.

    Args:
        store: Where the group's cells are.
        group: Cells of one model on the same instances.
        metric: Plain name or identity.
        variant: Of the metric; empty: the ranked one.
    """
    default, higher, _ = ranked_variant(group, metric)
    wanted = variant or default
    columns: dict[str, list[dict[str, float]]] = {}
    conditions: dict[str, str] = {}
    missing: dict[str, str] = {}
    for label, record in zip(group.methods(), group.records, strict=True):
        score = find_score(record, metric)
        if score is None or score.status != "done":
            missing[label] = _why(record, score, metric)
            continue
        means, known = _means(store.find(record), score.metric, wanted)
        if not means:
            missing[label] = f"{metric} has no rows of {wanted} an instance"
            continue
        if all(value != value for value in means.values()):  # it would leave no instance that all methods share
            why = find_aggregate(record, metric, wanted)
            missing[label] = why if isinstance(why, str) else "undefined for every instance"
            continue
        conditions.update(known)
        columns.setdefault(label, []).append(means)
    names = sorted(conditions)
    values = np.array([_over_seeds(parts, names) for parts in columns.values()]).reshape(len(columns), len(names))
    scored = ScoreTable(tuple(columns), values, tuple(conditions[name] for name in names), higher)
    return StoredScores(scored, {label: why for label, why in missing.items() if label not in columns}, tuple(names))


def _over_seeds(parts: Sequence[dict[str, float]], names: Sequence[str]) -> np.ndarray:
    """The mean over cells of every instance that any of them has a score of."""
    values = np.array([[part.get(name, np.nan) for name in names] for part in parts])
    live = ~np.isnan(values)
    count = live.sum(0)
    return np.divide(np.where(live, values, 0).sum(0), count, out=np.full(len(names), np.nan), where=count > 0)


def _means(cell: Cell, metric: str, variant: str) -> tuple[dict[str, float], dict[str, str]]:
    """Mean over draws and condition of every instance of one variant."""
    data = cell.files.read(cell.scores_path(metric))
    if data is None:
        return {}, {}
    columns = ["instance", "condition", "variant", "value"]
    rows = pq.ParquetFile(pa.BufferReader(data)).read(columns=columns, use_threads=False)
    rows = rows.filter(pc.equal(rows["variant"], variant))
    names, values = rows["instance"].to_pylist(), rows["value"].to_numpy().tolist()
    known = dict(zip(names, (text or "" for text in rows["condition"].to_pylist()), strict=True))
    if len(known) == len(names):  # nothing is drawn
        return dict(zip(names, values, strict=True)), known
    draws: dict[str, list[float]] = {}
    for name, value in zip(names, values, strict=True):
        draws.setdefault(name, []).append(value)
    return {name: _mean([v for v in values if v == v]) for name, values in draws.items()}, known


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else float("nan")


def _why(record: Record, score: Score | None, metric: str) -> str:
    if record.status in ("failed", "not-applicable"):
        return record.error or record.status
    return f"not scored with {metric}" if score is None else score.reason or score.status


def metrics_of(groups: Sequence[ComparableCells]) -> list[str]:
    """Plain names of the metrics that any cell has a score of, in order of appearance."""
    return list(dict.fromkeys(score.name for group in groups for record in group.records for score in record.scores.values()))
