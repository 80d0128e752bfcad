"""Compares stored cells of one method with metrics of scope `cells`: on two tasks, or over seeds."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import pandas as pd

from ...benchmark.store.record import EXPLAINED, Record
from ...benchmark.store.store import Cell, Store
from ...core.errors import NotApplicable, UnknownName, UsageError
from ...core.foreign_code import plugin_call
from ...core.registry import Spec
from ...methods.explanation import Explanation
from ...metrics.registry import METRICS
from ...metrics.scores import NO_INTERVAL, Aggregate, ExplainedCell, with_interval
from ..stored.comparable_cells import checkpoint, method_labels

COLUMNS = (
    "metric", "method", "settings", "seed", "model", "task", "instances", "other_model", "other_task", "other_instances",
    "variant", "value", "low", "high", "reason",
)  # fmt: skip


@dataclass(frozen=True)
class CellPair:
    """Two cells of one method, or several that differ in their seed alone, and what a metric says of them.

    Attributes:
        records: Their records.
        aggregates: Empty where the metric does not apply.
        reason: Why it does not.
    """

    records: tuple[Record, ...]
    aggregates: tuple[Aggregate, ...] = ()
    reason: str = ""


@dataclass(frozen=True)
class CellComparison:
    """A metric on every pair of cells that it compares.

    Attributes:
        metric: Its name.
        ranked: The variant that tables show.
        pairs: In order of method, model and task.
        across: What the cells of a pair differ in, `tasks` or `seeds`.
    """

    metric: str
    ranked: str
    pairs: tuple[CellPair, ...]
    across: str = "tasks"

    def to_pandas(self) -> pd.DataFrame:
        """One row an aggregate, with the columns `COLUMNS`; a pair without one is a row with NaN and the reason."""
        return pd.DataFrame([row for pair in self.pairs for row in self._rows(pair)], columns=list(COLUMNS))

    def summary(self) -> list[tuple[str, ...]]:
        """One row a pair, after a head: method, both cells with their instances, and every variant as `value [low, high]`."""
        variants = list(dict.fromkeys(a.variant for pair in self.pairs for a in pair.aggregates)) or [self.ranked]
        records = [record for pair in self.pairs for record in pair.records]
        several_models = len({record.model for record in records}) > 1
        seeds = self.across == "seeds"
        labels = dict(zip((record.cell for record in records), method_labels(records, seeds=not seeds), strict=True))
        rows = []
        for pair in self.pairs:
            cells = [f"{r.task} ({f'{r.model}, ' if several_models else ''}{r.instances})" for r in pair.records]
            cells = [cells[0], ", ".join(str(r.seed) for r in pair.records)] if seeds else cells
            rows.append((labels[pair.records[0].cell], *cells, *(_text(pair, variant) for variant in variants)))
        names = ("method", "task", "seeds" if seeds else "other task")
        return [(*names, *(f"{self.metric}\n{variant}" for variant in variants)), *rows]

    def _rows(self, pair: CellPair) -> Iterator[dict[str, Any]]:
        first, second, *_ = pair.records
        described = {
            "metric": self.metric, "method": first.method, "settings": json.dumps(first.settings, sort_keys=True),
            "seed": first.seed, "model": first.model, "task": first.task, "instances": first.instances,
            "other_model": second.model, "other_task": second.task, "other_instances": second.instances,
        }  # fmt: skip
        none = Aggregate(self.ranked, value=math.nan, low=math.nan, high=math.nan, count=0, reason=pair.reason)
        for a in pair.aggregates or (none,):
            yield {**described, "variant": a.variant, "value": a.value, "low": a.low, "high": a.high, "reason": a.reason}


def compare(
    url: str, metric: str = "head_universality", tasks: Sequence[str] = (), methods: Sequence[str] = ()
) -> CellComparison:
    """Compares the cells of every method on two tasks, or over seeds where the metric asks for that.

    Two tasks are compared on one model that has both, else on two models, each with its own task (checkpoints of one
    architecture). Nothing is explained or run again.

    Args:
        url: The store.
        metric: A metric of scope `cells`, with settings after a colon.
        tasks: Two or more: only pairs of these; one: only pairs with it. Over seeds: only these.
        methods: Only these.

    Returns:
        A pair of cells for every comparison, with the metric's aggregates or the reason why it has none.

    Raises:
        UsageError: No such store, task or method in it, a metric of another scope, nothing to compare.
    """
    spec = Spec.parse(metric)
    METRICS.require(spec.name)
    plugin = METRICS.create(spec)
    if plugin.scope != "cells":
        raise UsageError(f"{plugin.name} scores single cells: use `flowgauge score {url} --metric {metric}`.")
    store = Store(url)
    records = [r for r in store.records() if r.instances and r.status in EXPLAINED]
    for kind, names in (("task", tasks), ("method", methods)):
        known = {getattr(r, kind) for r in records}
        for name in names:
            if name not in known:
                raise UnknownName(f"{kind} with explanations in this store", name, known)
    across = getattr(plugin, "across", "tasks")
    candidates = _seeds(records) if across == "seeds" else _pairs(records)
    chosen = [cells for cells in candidates if _on_tasks(cells, tasks) and (not methods or cells[0].method in methods)]
    if not chosen:
        of = "several seeds of a method that draws" if across == "seeds" else "two of the tasks"
        remedy = "`flowgauge run --seed 0 --seed 1 --seed 2` adds seeds" if across == "seeds" else "`flowgauge run` adds a task"
        raise UsageError(f"no method in {url!r} has explanations of {of}; {remedy}.")
    return CellComparison(plugin.name, plugin.ranked, tuple(compare_cells(plugin, store, cells) for cells in chosen), across)


def _text(pair: CellPair, variant: str) -> str:
    aggregate = next((a for a in pair.aggregates if a.variant == variant), None)
    if aggregate is None or math.isnan(aggregate.value):
        return f"n/a: {pair.reason if aggregate is None else aggregate.reason}"
    text = with_interval(aggregate.value, aggregate.low, aggregate.high, aggregate.count, aggregate.reason, aggregate.clusters)
    return f"{text}: {aggregate.reason}" if NO_INTERVAL in aggregate.reason else text


def _on_tasks(cells: Sequence[Record], tasks: Sequence[str]) -> bool:
    inside = [record.task in tasks for record in cells]
    return not tasks or (any(inside) if len(set(tasks)) == 1 else all(inside))


def _pairs(records: Sequence[Record]) -> Iterator[tuple[Record, Record]]:
    """Cells of the same method, settings and seed on different tasks; of several on one task that with most instances."""
    by_method: dict[str, dict[tuple[tuple[str, ...], str], Record]] = {}
    for record in sorted(records, key=lambda r: (r.method, r.model, r.task, -r.instances)):
        of_method = by_method.setdefault(json.dumps([record.key["method"], record.seed], sort_keys=True), {})
        of_method.setdefault(((record.model, *checkpoint(record)), record.task), record)
    for cells in by_method.values():
        for ((first_model, first_task), first), ((second_model, second_task), second) in combinations(cells.items(), 2):
            # Two models are compared only where neither has both tasks: else the pair of one model says more.
            crossed = {(first_model, second_task), (second_model, first_task)} & cells.keys()
            if first_task != second_task and (first_model == second_model or not crossed):
                yield first, second


def _seeds(records: Sequence[Record]) -> Iterator[tuple[Record, ...]]:
    """Cells whose keys differ in the seed alone, by seed."""
    by_key: dict[str, list[Record]] = {}
    for record in sorted(records, key=lambda r: (r.method, r.model, r.task, r.seed or 0)):
        if record.key.get("seed") is not None:
            # The sums of external explanations are in their key, and differ with the seed as the explanations do.
            rest = {name: value for name, value in record.key.items() if name not in ("seed", "explanations")}
            by_key.setdefault(json.dumps(rest, sort_keys=True), []).append(record)
    yield from (tuple(cells) for cells in by_key.values() if len(cells) > 1)


@dataclass(frozen=True, eq=False)
class _GoldExplanations(Iterable[Explanation]):
    """A cell's explanations, one file at a time: edges of a whole cell need not fit in memory."""

    cell: Cell

    def __iter__(self) -> Iterator[Explanation]:
        for part in self.cell.parts():
            yield from part.gold


def _explained(store: Store, record: Record) -> ExplainedCell:
    cell = store.find(record)
    sentences = cell.sentences()
    if len(sentences) != record.instances:
        raise UsageError(f"explanations of {record.method} on {record.task} are missing or damaged. {cell.remedy}")
    conditions, clusters = (tuple(getattr(s, name) for s in sentences.values()) for name in ("condition", "cluster"))
    return ExplainedCell(tuple(sentences), conditions, _GoldExplanations(cell), clusters)


def compare_cells(metric: Any, store: Store, records: tuple[Record, ...]) -> CellPair:
    """What a metric of scope `cells` says of some cells, or why it does not apply to them."""
    try:
        with plugin_call("metric", metric):
            return CellPair(records, tuple(metric.compare(*(_explained(store, record) for record in records))))
    except NotApplicable as reason:
        return CellPair(records, reason=str(reason))
