"""Our number for a place of a paper's table, with its interval, from the cells of the paper's runs."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.stats import spearmanr

from ...benchmark.reproduction.outcome import Reproduction, RunOutcome
from ...benchmark.reproduction.paper import NumberSource, PaperTableRow
from ...benchmark.store.explanation_file import ExplainedSentence
from ...benchmark.store.key import canonical
from ...benchmark.store.record import Record, Score
from ...benchmark.store.store import Store
from ...core.errors import FlowgaugeError
from ...core.registry import Spec, settings
from ...methods.explanation import Explanation
from ...methods.registry import METHODS
from ...methods.views import token_scores
from ...metrics.registry import METRICS
from ...metrics.scores import Aggregate
from ...metrics.statistics.intervals import mean_intervals
from ...metrics.statistics.units import clusters_of
from ...metrics.summary import RATIO_NEEDS, summarise, summarise_sums
from ..comparison.cell_comparison import compare_cells
from ..stored.comparable_cells import why_not_scored
from ..tables.entries import TableEntry

_Stored = TypeVar("_Stored", Record, Score)
SET_BY_MODEL = "baseline"
"""The setting whose default depends on the model (ADR 23)."""
FEWEST = 3
"""Pairs of numbers that a rank correlation needs."""


class NotRun(Exception):
    """A number that a run does not have; the text says why."""


class DrawnInstance(NamedTuple):
    """How an instance was drawn, for the interval of a number over several tasks."""

    condition: str
    cluster: str


@dataclass(frozen=True)
class InstanceValues:
    """A variant's value of every instance of a cell, draws averaged.

    Attributes:
        values: By the instance's id; NaN where undefined.
        drawn: Condition and cluster of each.
    """

    values: Mapping[str, float]
    drawn: Mapping[str, DrawnInstance]


def measure(reproduction: Reproduction, row: PaperTableRow, sources: Sequence[NumberSource]) -> TableEntry:
    """The number of a row in one column, times the row's scale; or the reason why there is none.

    Args:
        reproduction: The runs.
        row: Says how sources are combined.
        sources: What is read, written out for the column.
    """
    reader = _Reader(reproduction)
    try:
        entry = _COMBINED[row.combine](reader, sources)
    except NotRun as reason:
        return TableEntry(reason=str(reason))
    factor, ends = row.scale, (row.scale * entry.low, row.scale * entry.high)
    return replace(entry, value=factor * entry.value, low=min(ends), high=max(ends)) if entry.known else entry


@dataclass(frozen=True)
class _Reader:
    """Finds what sources name among the cells of the runs."""

    reproduction: Reproduction

    def cells(self, source: NumberSource) -> dict[str, list[Record]]:
        """The cells of a source by task: one, or one a seed.

        Raises:
            NotRun: The run was not made, or has no such cell.
        """
        by_task: dict[str, list[Record]] = {}
        for outcome in self.reproduction.outcomes_of(source):
            if outcome.reason:
                raise NotRun(outcome.reason)
            if source.method not in outcome.methods:
                raise NotRun(f"--quick leaves {source.method} out")
            for record in _of_method(outcome, source.method):
                if source.task in ("*", record.task):
                    by_task.setdefault(record.task, []).append(record)
        if not by_task:
            raise NotRun(f"--quick leaves {source.task} out" if self.reproduction.quick else f"no cell on {source.task}")
        return by_task

    def explained(self, source: NumberSource) -> dict[str, list[Record]]:
        """The cells of a source by task, all of whose instances are explained.

        Raises:
            NotRun: Some are not, or there is no such cell.
        """
        by_task = self.cells(source)
        for record in (record for of_task in by_task.values() for record in of_task):
            if record.status != "done":
                raise NotRun(record.error or f"{source.method} is {record.status} on {record.task}")
        return by_task

    def score(self, source: NumberSource, record: Record) -> Score:
        """The score of a cell by the source's metric.

        Raises:
            NotRun: It has none.
        """
        metrics = {name: spec for outcome in self.reproduction.outcomes_of(source) for name, spec in outcome.metrics.items()}
        if source.metric not in metrics:
            raise NotRun(f"--quick leaves {source.metric} out")
        spec = metrics[source.metric]
        scores = _with_settings(METRICS.create(spec), [s for s in record.scores.values() if s.name == spec.name])
        score = max(scores, key=lambda s: s.version, default=None)
        if score is None or score.status != "done":
            raise NotRun(why_not_scored(record, score, spec.name))
        return score

    def aggregate(self, source: NumberSource, record: Record) -> Aggregate:
        """The source's stored number of a cell, of one condition where it names one.

        Raises:
            NotRun: There is none, or it is undefined.
        """
        score = self.score(source, record)
        if source.condition:
            rows = self._rows(source, record, score)
            of_condition = summarise(rows[rows["condition"] == source.condition], score.bounds)
            if not of_condition:
                raise NotRun(f"no instance of condition {source.condition}")
            return of_condition[0]
        aggregate = score.aggregate(source.variant)
        if aggregate is None:
            raise NotRun(f"{score.name} has no variant {source.variant} here")
        if math.isnan(aggregate.value):
            raise NotRun(aggregate.reason or "undefined for every instance")
        return aggregate

    def instances(self, source: NumberSource, record: Record) -> InstanceValues:
        """The source's number of every instance of a cell.

        Raises:
            NotRun: There is none.
        """
        rows = self._rows(source, record, self.score(source, record))
        first = rows.drop_duplicates("instance").set_index("instance")
        clusters = first["cluster"].fillna("")
        drawn = {name: DrawnInstance(str(first["condition"][name]), str(clusters[name])) for name in first.index}
        return InstanceValues(rows.groupby("instance", sort=False)["value"].mean().to_dict(), drawn)

    def _rows(self, source: NumberSource, record: Record, score: Score) -> pd.DataFrame:
        rows = Store(self.reproduction.store).find(record).rows(score.metric)
        return rows[rows["variant"] == source.variant]


def _of_method(outcome: RunOutcome, name: str) -> list[Record]:
    """The cells of a method: those that were asked for in these words, else those whose settings are these."""
    spec = outcome.methods[name]
    asked = {"name": spec.name, **spec.settings}
    same = [record for record in outcome.records if record.asked.get("method") == asked]
    if same:
        return same
    return _with_settings(METHODS.create(spec), [record for record in outcome.records if record.method == spec.name])


def _with_settings(plugin: object, stored: Sequence[_Stored]) -> list[_Stored]:
    """Those whose settings are all those of a method or a metric; if there are none, but for a default of the model's own."""
    own = settings(plugin)
    chosen = {
        name: value
        for name, value in own.items()
        if name != SET_BY_MODEL or SET_BY_MODEL in getattr(plugin, "flowgauge_given", own)
    }

    def agree(expected: Mapping[str, object]) -> list[_Stored]:
        return [s for s in stored if all(canonical(s.settings.get(name)) == canonical(v) for name, v in expected.items())]

    return agree(own) or agree(chosen)


def _value(reader: _Reader, sources: Sequence[NumberSource]) -> TableEntry:
    """The stored number of one cell, or the mean over cells that differ in their seed."""
    (source,) = sources
    (records,) = reader.cells(source).values()
    aggregates = [reader.aggregate(source, record) for record in records]
    if len(aggregates) == 1 or len({aggregate.value for aggregate in aggregates}) == 1:
        return _entry(aggregates[0])
    if source.condition or len({record.model for record in records}) > 1 or reader.score(source, records[0]).scope == "set":
        return _over_seeds([aggregate.value for aggregate in aggregates], min(aggregate.count for aggregate in aggregates))
    return _over_instances_and_seeds(reader, source, records)


def _over_instances_and_seeds(reader: _Reader, source: NumberSource, records: Sequence[Record]) -> TableEntry:
    """The mean over the instances and seeds of a model, with the interval that tables have (`column_entry`)."""
    of_seed = [reader.instances(source, record) for record in records]
    names = list(of_seed[0].values)
    by_seed = np.array([[each.values.get(name, math.nan) for name in names] for each in of_seed])
    defined = ~np.isnan(by_seed)
    mean = np.where(defined.any(0), np.where(defined, by_seed, 0).sum(0) / np.maximum(defined.sum(0), 1), math.nan)
    conditions, clusters = (np.array([getattr(of_seed[0].drawn[n], field) for n in names]) for field in DrawnInstance._fields)
    bounds = reader.score(source, records[0]).bounds
    value, low, high = mean_intervals(mean[None], conditions, clusters, bounds, by_seed={0: by_seed}).tolist()[0]
    count = int(defined.any(0).sum())
    return TableEntry(value, low, high, count, len(names) - count, reason=f"mean of {len(records)} seeds")


def _over_seeds(values: Sequence[float], count: int) -> TableEntry:
    """The mean of one number a seed, with an interval that holds for other seeds of the same instances."""
    value, low, high = mean_intervals(np.array([values]), np.full(len(values), "")).tolist()[0]
    return TableEntry(value, low, high, count, reason=f"mean of {len(values)} seeds, the interval over seeds alone")


def _entry(a: Aggregate) -> TableEntry:
    return TableEntry(a.value, a.low, a.high, a.count, a.undefined, a.sd_draws, a.reason, a.bias, a.clusters)


def _of_means(
    reader: _Reader, sources: Sequence[NumberSource], statistic: Callable[[np.ndarray], np.ndarray], is_share: bool = False
) -> TableEntry:
    """A statistic of the means over tasks of several sources, each task as a stratum and counting the same.

    Instances without a value of every source are left out. Scores of a whole set have no instances; the number then has no
    interval. Of several seeds it is the mean of one number a seed.

    Args:
        reader: Finds the cells.
        sources: What is read.
        statistic: From means, one a source along the last axis, to the number.
        is_share: Whether the statistic of a single instance is a share, from 0 to 1, so that the interval is that of a share.
    """
    cells = [reader.cells(source) for source in sources]
    tasks = [task for task in cells[0] if all(task in each for each in cells)]
    if not tasks:
        raise NotRun("no task has a cell of every method")
    seeds = max(len(each[task]) for each in cells for task in tasks)

    def of_seed(seed: int) -> list[dict[str, Record]]:
        return [{task: each[task][min(seed, len(each[task]) - 1)] for task in tasks} for each in cells]

    if seeds > 1:
        count = sum(record.instances for record in of_seed(0)[0].values())
        return _over_seeds([float(statistic(_means(reader, sources, of_seed(seed)))) for seed in range(seeds)], count)
    values, weights, drawn = _paired(reader, sources, of_seed(0))
    if not drawn:
        return TableEntry(float(statistic(_means(reader, sources, of_seed(0)))), reason="no interval: a score of the whole set")

    if is_share and np.ptp(weights) == 0:
        conditions, clusters = (np.array([getattr(each, name) for each in drawn]) for name in ("condition", "cluster"))
        ((value, low, high),) = mean_intervals(statistic(values)[None], conditions, clusters, (0.0, 1.0)).tolist()
        return TableEntry(value, low, high, len(drawn), clusters=clusters_of(clusters))

    def of_sums(sums: Float[np.ndarray, "*some features"]) -> Float[np.ndarray, "*some one"]:
        return statistic(sums[..., :-1] / sums[..., -1:])[..., None]

    features = np.concatenate([values * weights, weights], 1)
    (aggregate,) = summarise_sums(("",), features, drawn, of_sums, needs=RATIO_NEEDS)
    return _entry(aggregate)


def _means(
    reader: _Reader, sources: Sequence[NumberSource], cells: Sequence[Mapping[str, Record]]
) -> Float[np.ndarray, " sources"]:
    """The mean over tasks of each source's stored number."""
    each = [[reader.aggregate(s, record).value for record in of.values()] for s, of in zip(sources, cells, strict=True)]
    return np.array(each).mean(1)


class _Paired(NamedTuple):
    """The instances that have a value of every source: the values, weights that make every task count the same, how drawn."""

    values: Float[np.ndarray, "instances sources"]
    weights: Float[np.ndarray, "instances 1"]
    drawn: list[DrawnInstance]


def _paired(reader: _Reader, sources: Sequence[NumberSource], cells: Sequence[Mapping[str, Record]]) -> _Paired:
    values, drawn, weights, empty = list[list[float]](), list[DrawnInstance](), list[float](), list[str]()
    for task in cells[0]:
        of_task = [reader.instances(source, of[task]) for source, of in zip(sources, cells, strict=True)]
        names = [n for n in of_task[0].values if not any(math.isnan(each.values.get(n, math.nan)) for each in of_task)]
        values += [[each.values[name] for each in of_task] for name in names]
        drawn += [of_task[0].drawn[n]._replace(condition=f"{task} {of_task[0].drawn[n].condition}") for n in names]
        weights += [1 / len(names) for _ in names]
        empty += [] if names else [task]
    if empty and drawn:
        raise NotRun(f"no instance of {empty[0]} has a value of every source")
    weight = np.array(weights)[:, None] * len(weights) / len(cells[0])
    return _Paired(np.array(values).reshape(len(weights), len(sources)), weight, drawn)


def _mean(means: np.ndarray) -> np.ndarray:
    return np.asarray(means.mean(-1))


def _difference(means: np.ndarray) -> np.ndarray:
    return np.asarray(means[..., 0] - means[..., 1:].mean(-1))


def _gain(means: np.ndarray) -> np.ndarray:
    return np.asarray(means[..., 0] / means[..., 1:].mean(-1) - 1)


def _rank_correlation(reader: _Reader, sources: Sequence[NumberSource]) -> TableEntry:
    """Spearman's correlation over tasks of two stored numbers; without an interval."""
    first, second = (reader.cells(source) for source in sources)
    tasks = [task for task in first if task in second]
    if len(tasks) < FEWEST:
        raise NotRun(f"a rank correlation over tasks needs {FEWEST}, and there are {len(tasks)}")
    columns = [[reader.aggregate(s, cells[t][0]).value for t in tasks] for s, cells in zip(sources, (first, second), strict=True)]
    return TableEntry(float(spearmanr(*columns).statistic), count=len(tasks), reason="no interval: one number a task")


def _agreement(reader: _Reader, sources: Sequence[NumberSource]) -> TableEntry:
    """Mean over instances of the agreement of one method's scores of words with those of the last source.

    Of three sources, the second's agreement is subtracted from the first's, instance by instance.
    """
    records = [next(iter(reader.explained(source).values()))[0] for source in sources]
    store = Store(reader.reproduction.store)
    cells = [store.find(record) for record in records]
    sentences = list(cells[0].sentences().values())
    *compared, reference = (cell.explanations([s.id for s in sentences])[1] for cell in cells)
    each = [[word_agreement(s, *pair) for s, *pair in zip(sentences, of, reference, strict=True)] for of in compared]
    values = np.array(each[0]) - (np.array(each[1]) if len(each) > 1 else 0)
    conditions, clusters = (np.array([getattr(s, name) for s in sentences]) for name in ("condition", "cluster"))
    value, low, high = mean_intervals(values[None], conditions, clusters).tolist()[0]
    defined = int((~np.isnan(values)).sum())
    if not defined:
        raise NotRun("no sentence has words whose scores differ")
    return TableEntry(value, low, high, defined, len(values) - defined)


def word_agreement(sentence: ExplainedSentence, one: Explanation, other: Explanation) -> float:
    """Spearman's correlation between the sizes of two explanations' scores of the words of a sentence.

    Tokens that belong to no word are left out, and so is the position that q is read at. NaN where one side is constant, or of
    fewer than three words.
    """
    words = np.array([word >= 0 and place != sentence.target for place, (_, word) in enumerate(sentence.words)])
    sizes = [np.abs(token_scores(explanation)[words]) for explanation in (one, other)]
    if words.sum() < FEWEST or min(len(np.unique(size)) for size in sizes) < 2:
        return math.nan
    return float(spearmanr(*sizes).statistic)


def _cells(reader: _Reader, sources: Sequence[NumberSource]) -> TableEntry:
    """A metric that compares cells: of one method on two tasks, or on one task over seeds."""
    records = [record for source in sources for of_task in reader.explained(source).values() for record in of_task]
    try:
        pair = compare_cells(METRICS.create(Spec.parse(sources[0].metric)), Store(reader.reproduction.store), tuple(records))
    except FlowgaugeError as error:
        raise NotRun(str(error)) from error
    aggregate = next((a for a in pair.aggregates if a.variant == sources[0].variant), None)
    if aggregate is None:
        raise NotRun(pair.reason or f"{sources[0].metric} has no variant {sources[0].variant}")
    return _entry(aggregate)


_COMBINED: Mapping[str, Callable[[_Reader, Sequence[NumberSource]], TableEntry]] = {
    "value": _value,
    "mean": lambda reader, sources: _of_means(reader, sources, _mean),
    "difference": lambda reader, sources: _of_means(reader, sources, _difference),
    "remainder": lambda reader, sources: _of_means(reader, sources, _difference, is_share=True),
    "gain": lambda reader, sources: _of_means(reader, sources, _gain),
    "rank-correlation": _rank_correlation,
    "agreement": _agreement,
    "agreement-difference": _agreement,
    "cells": _cells,
}
"""The function of each `Combination`."""
