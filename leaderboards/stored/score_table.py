"""Per-instance scores of a group of cells as one table, read from the store."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import compress, repeat
from typing import Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from jaxtyping import Bool, Float

from ...benchmark.store.cell import Cell
from ...benchmark.store.record import Record, Score
from ...benchmark.store.store import Store
from ...benchmark.store.sums import DamagedFile
from ...core.errors import UsageError
from ...metrics.statistics.intervals import Bounds, mean_intervals
from ...metrics.statistics.ordering import ranks_of
from ...metrics.statistics.seeds import with_seeds
from ...metrics.statistics.units import Units, clusters_of, sampling_units, unit_of
from .comparable_cells import ComparableCells, find_aggregate, find_score, groups, why_not_scored
from .records import stored_records

FEW_ROWS = 500
"""Rows of a file up to which a list in Python is filtered faster than a column of Arrow."""


@dataclass(frozen=True, eq=False)
class ScoreTable:
    """One metric's scores of several methods on the same instances.

    Attributes:
        methods: Labels.
        values: Score of each method and instance, draws and seeds averaged; NaN where undefined.
        conditions: Each instance's condition; resampling keeps the number of instances of each.
        clusters: Each instance's cluster, empty where it is in none; the instances of a cluster are drawn together. Empty: no
            instance is in one.
        instances: Id of each instance. Empty: not known.
        higher_is_better: None where neither end is better.
        bounds: Smallest and largest possible score.
        by_seed: Of methods whose values are means over several seeds, by label, the scores of each seed; NaN where undefined.
    """

    methods: tuple[str, ...]
    values: Float[np.ndarray, "methods instances"]
    conditions: tuple[str, ...]
    higher_is_better: bool | None = True
    bounds: Bounds = (None, None)
    clusters: tuple[str, ...] = ()
    by_seed: Mapping[str, Float[np.ndarray, "seeds instances"]] = field(default_factory=dict)
    instances: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.values.shape != (len(self.methods), len(self.conditions)):
            raise ValueError(
                f"scores must be {(len(self.methods), len(self.conditions))} (methods, instances), got {self.values.shape}."
            )
        if len(self.clusters) not in (0, len(self.conditions)):
            raise ValueError(
                f"a table of {len(self.conditions)} instances needs as many clusters or none, got {len(self.clusters)}."
            )

    @property
    def common(self) -> Bool[np.ndarray, " instances"]:
        """Instances where every method has a score."""
        return ~np.isnan(self.values).any(0)

    @property
    def counts(self) -> list[int]:
        """How many instances each method has a score of."""
        return [int(count) for count in (~np.isnan(self.values)).sum(1)]

    @property
    def cluster_counts(self) -> list[int | None]:
        """How many clusters these instances are in, as `clusters_of` counts them: None where each is by itself."""
        return [clusters_of(self._clusters[defined]) for defined in ~np.isnan(self.values)]

    @property
    def common_clusters(self) -> int | None:
        """How many clusters the instances are in where every method has a score; None where each is by itself."""
        return clusters_of(self._clusters[self.common])

    @property
    def _clusters(self) -> np.ndarray:
        return np.array(self.clusters or ("",) * len(self.conditions), str)

    @property
    def _by_seed(self) -> dict[int, Float[np.ndarray, "seeds instances"]]:
        """By row."""
        return {row: self.by_seed[name] for row, name in enumerate(self.methods) if name in self.by_seed}

    def common_means(self) -> Float[np.ndarray, " methods"]:
        """Mean of each method over the instances where every method has a score; what methods are ranked by."""
        means: np.ndarray = self.values[:, self.common].mean(1)
        return means

    def units(self) -> Units:
        """Sampling units of the instances where every method has a score, which ranks and differences rest on."""
        common = self.common
        drawn = (np.array(self.conditions)[common], self._clusters[common])
        by_seed = {row: of_method[:, common] for row, of_method in self._by_seed.items()}
        return with_seeds(sampling_units(self.values[:, common], *drawn), by_seed, *drawn)

    def unit_names(self) -> tuple[str, ...]:
        """Of each of these units its cluster, else its instance; empty where ids are not known."""
        if not self.instances:
            return ()
        ids, clusters = np.array(self.instances)[self.common], self._clusters[self.common]
        if not (clusters != "").any():
            return tuple(ids.tolist())
        _, first = np.unique(unit_of(clusters), return_index=True)
        return tuple(np.where(clusters == "", ids, clusters)[first].tolist())

    def mean_intervals(self) -> Float[np.ndarray, "methods 3"]:
        """Mean of each method over its own instances, with the ends of its interval: over several seeds, it holds for others."""
        return mean_intervals(self.values, np.array(self.conditions), self._clusters, self.bounds, by_seed=self._by_seed)

    def narrow(self, methods: Sequence[str]) -> ScoreTable:
        """The table of some methods, in the order given."""
        rows = [self.methods.index(m) for m in methods]
        return replace(self, methods=tuple(methods), values=self.values[rows])

    def order(self, means: Float[np.ndarray, "*some methods"]) -> Float[np.ndarray, "*some methods"]:
        """Ranks of means, by `ordering.ranks_of`.

        >>> ScoreTable(("a", "b", "c"), np.zeros((3, 1)), ("x",)).order(np.array([0.5, 0.9, 0.5])).tolist()
        [2.5, 1.0, 2.5]
        """
        return ranks_of(means, self.higher_is_better)


@dataclass(frozen=True, eq=False)
class StoredScores:
    """What a store has of one metric for a group.

    Attributes:
        table: The methods that have scores.
        missing: Why other methods have none, by label.
        instances: Id of each column of the table.
    """

    table: ScoreTable
    missing: dict[str, str]
    instances: tuple[str, ...]


class CellSource(Protocol):
    """Finds the stored cell of a record, as a store or a board does."""

    def find(self, record: Record) -> Cell:
        """The cell a record belongs to."""


def ranked_score(group: ComparableCells, metric: str) -> Score | None:
    """The first score of a metric in a group that says which variant rankings use; None where no cell has one.

    Args:
        group: The cells.
        metric: Plain name or identity.
    """
    scores = (find_score(record, metric) for record in group.records)
    return next((score for score in scores if score is not None and score.ranked), None)


def read_scores(source: CellSource, group: ComparableCells, metric: str, variant: str = "") -> StoredScores:
    """Scores of every method of a group on one metric.

    Draws of an instance are averaged, and so are cells that differ in their seed alone. A method whose score is undefined for
    every instance is left out, with the reason: it would leave no instance that all methods share.

    Args:
        source: Finds the group's cells.
        group: Cells of one model on the same instances.
        metric: Plain name or identity.
        variant: Of the metric; empty: the ranked one.

    Returns:
        The table (methods in the store's order, instances sorted by id), and why other methods are not in it.
    """
    ranked = ranked_score(group, metric)
    variant = variant or (ranked.ranked if ranked else "")
    means_by_method: dict[str, list[dict[str, float]]] = {}
    drawn: dict[str, tuple[str, str]] = {}
    missing: dict[str, str] = {}
    for label, record in zip(group.methods(), group.records, strict=True):
        means, drawn_here, reason = _cell_means(source, record, metric, variant)
        if reason:
            missing[label] = reason
        else:
            drawn.update(drawn_here)
            means_by_method.setdefault(label, []).append(means)
    instances = sorted(drawn)
    by_seed = {
        label: np.array([[means.get(name, np.nan) for name in instances] for means in cells])
        for label, cells in means_by_method.items()
    }
    values = [_over_seeds(of_method) for of_method in by_seed.values()]
    table = ScoreTable(
        methods=tuple(means_by_method),
        values=np.array(values).reshape(len(values), len(instances)),
        conditions=tuple(drawn[name][0] for name in instances),
        clusters=tuple(drawn[name][1] for name in instances),
        higher_is_better=ranked.higher_is_better if ranked else None,
        bounds=ranked.bounds if ranked else (None, None),
        by_seed={label: of_method for label, of_method in by_seed.items() if len(of_method) > 1},
        instances=tuple(instances),
    )
    left_out = {label: reason for label, reason in missing.items() if label not in means_by_method}
    return StoredScores(table, left_out, tuple(instances))


def stored_sizes(url: str) -> dict[str, int]:
    """Instances, conditions and methods of the largest table of a store.

    Args:
        url: The store.

    Raises:
        UsageError: No such store, or it has no scores of two instances and methods.
    """
    store, sizes = Store(url), list[tuple[int, int, int]]()
    for group in groups(stored_records(url)):
        for metric in metrics_of([group]):
            table = read_scores(store, group, metric).table
            if min(table.values.shape) > 1:
                sizes.append((len(table.conditions), len(set(table.conditions)), len(table.methods)))
    if not sizes:
        raise UsageError(f"no metric in {url!r} has scores of two methods on two instances; `flowgauge run` adds some.")
    instances, conditions, methods = max(sizes, key=lambda size: size[0] * size[2])
    return {"instances": instances, "conditions": conditions, "methods": methods}


def metrics_of(cells: Sequence[ComparableCells]) -> list[str]:
    """Plain names of the metrics that any cell has a score of, in order of appearance."""
    return list(dict.fromkeys(score.name for group in cells for record in group.records for score in record.scores.values()))


def without_version(metric: str, records: Iterable[Record]) -> str:
    """The plain name of a metric that is named with its version, as in `Results.to_pandas`, where both mean the same scores.

    Args:
        metric: Such as `comprehensiveness@1`; a name that is no score's identity is returned as it is.
        records: Cells that may have a score of it.
    """
    plain = metric.rpartition("@")[0]
    found = [(score, find_score(record, plain)) for record in records if plain and (score := find_score(record, metric))]
    return plain if found and all(score is by_plain_name for score, by_plain_name in found) else metric


def _cell_means(
    source: CellSource, record: Record, metric: str, variant: str
) -> tuple[dict[str, float], dict[str, tuple[str, str]], str]:
    """Mean, and condition with cluster, of every instance of a cell; or the reason why it has none, empty where it has."""
    score = find_score(record, metric)
    if score is None or score.status != "done":
        return {}, {}, why_not_scored(record, score, metric)
    cell, name = source.find(record), f"scores/{score.metric}.parquet"
    try:
        means, drawn = _read_rows(cell, name, variant)
    except DamagedFile as error:
        return {}, {}, str(error)
    if not means and name in record.files and cell.files.read(f"{cell.path}/{name}") is None:
        return {}, {}, f"{cell.path}/{name} is missing. {cell.remedy}"
    if not means:
        return {}, {}, f"{metric} has no rows of {variant} an instance"
    if all(value != value for value in means.values()):
        aggregate = find_aggregate(record, metric, variant)
        return {}, {}, aggregate if isinstance(aggregate, str) else "undefined for every instance"
    return means, drawn, ""


def _over_seeds(by_seed: Float[np.ndarray, "seeds instances"]) -> Float[np.ndarray, " instances"]:
    """The mean over seeds of every instance that any of them has a score of."""
    live = ~np.isnan(by_seed)
    count = live.sum(0)
    return np.divide(np.where(live, by_seed, 0).sum(0), count, out=np.full(len(count), np.nan), where=count > 0)


def _read_rows(cell: Cell, name: str, variant: str) -> tuple[dict[str, float], dict[str, tuple[str, str]]]:
    """Mean over draws, and condition with cluster, of every instance of one variant, from a file of the cell."""
    data = cell.read(name)
    if data is None:
        return {}, {}
    # Read without threads and buffers: tables are small, and starting them for each of a board's thousand files takes longer.
    file = pq.ParquetFile(pa.BufferReader(data), pre_buffer=False)
    in_clusters = "cluster" in file.schema.names
    columns = ["instance", "condition", "variant", "value", *(["cluster"] if in_clusters else [])]
    rows = file.read(columns=columns, use_threads=False)
    if len(rows) > FEW_ROWS:
        rows = rows.filter(pc.equal(rows["variant"], variant))
    kept = [text == variant for text in rows["variant"].to_pylist()]
    instances = list(compress(rows["instance"].to_pylist(), kept))
    values = list(compress(rows["value"].to_numpy().tolist(), kept))
    conditions = compress(rows["condition"].to_pylist(), kept)
    clusters = compress(rows["cluster"].to_pylist(), kept) if in_clusters else repeat("", len(instances))
    drawn = {name: (of or "", cluster or "") for name, of, cluster in zip(instances, conditions, clusters, strict=True)}
    if len(drawn) == len(instances):  # one draw an instance: nothing to average
        return dict(zip(instances, values, strict=True)), drawn
    draws: dict[str, list[float]] = {}
    for name, value in zip(instances, values, strict=True):
        draws.setdefault(name, []).append(value)
    return {name: _mean([v for v in each if v == v]) for name, each in draws.items()}, drawn


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else float("nan")
