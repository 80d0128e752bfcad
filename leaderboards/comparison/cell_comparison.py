"""Compares stored cells of one method with metrics of scope `cells`; nothing is explained or run again. No torch."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import pandas as pd

from ...benchmark.store.record import Record
from ...benchmark.store.store import Cell, Store
from ...core.errors import NotApplicable, UnknownName, UsageError
from ...core.registry import Spec
from ...methods.explanation import Explanation
from ...metrics.registry import METRICS
from ...metrics.scores import Aggregate, ExplainedCell

COLUMNS = (
    "metric", "method", "settings", "seed", "model", "task", "instances", "other_model", "other_task", "other_instances",
    "variant", "value", "low", "high", "reason",
)  # fmt: skip


@dataclass(frozen=True)
class CellPair:
    """Two cells of one method, or several that differ in their seed alone, and what a metric says of them.

    Attributes:
        one, other: Their records.
        more: Those of further seeds.
        aggregates: Empty where the metric does not apply.
        reason: Why it does not.
    """

    one: Record
    other: Record
    aggregates: tuple[Aggregate, ...] = ()
    reason: str = ""
    more: tuple[Record, ...] = ()

    @property
    def records(self) -> tuple[Record, ...]:
        """All of them."""
        return (self.one, self.other, *self.more)


@dataclass(frozen=True)
class CellComparison:
    """Every pair of cells that a metric was asked about.

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
        """One row an aggregate; a pair without one is a row with NaN and the reason."""
        return pd.DataFrame([row for pair in self.pairs for row in self._rows(pair)], columns=list(COLUMNS))

    def summary(self) -> list[tuple[str, ...]]:
        """One row a pair, after a head: method, both cells with their instances, and every variant as `value [low, high]`."""
        variants = list(dict.fromkeys(a.variant for pair in self.pairs for a in pair.aggregates)) or [self.ranked]
        records = [record for pair in self.pairs for record in pair.records]
        models = len({record.model for record in records}) > 1
        seeds = self.across == "seeds"
        rows = []
        for pair in self.pairs:
            ends = [f"{r.task} ({f'{r.model}, ' if models else ''}{r.instances})" for r in (pair.one, pair.other)]
            ends = [ends[0], ", ".join(str(r.seed) for r in pair.records)] if seeds else ends
            rows.append((_label(pair.one, records, seeds), *ends, *(_number(pair, variant) for variant in variants)))
        names = ("method", "task", "seeds" if seeds else "other task")
        return [(*names, *(f"{self.metric}\n{variant}" for variant in variants)), *rows]

    def _rows(self, pair: CellPair) -> Iterator[dict[str, Any]]:
        one, other = pair.one, pair.other
        named = {
            "metric": self.metric, "method": one.method, "settings": json.dumps(one.settings, sort_keys=True), "seed": one.seed,
            "model": one.model, "task": one.task, "instances": one.instances,
            "other_model": other.model, "other_task": other.task, "other_instances": other.instances,
        }  # fmt: skip
        none = Aggregate(self.ranked, float("nan"), float("nan"), float("nan"), 0, reason=pair.reason)
        for a in pair.aggregates or (none,):
            yield {**named, "variant": a.variant, "value": a.value, "low": a.low, "high": a.high, "reason": a.reason}


def _number(pair: CellPair, variant: str) -> str:
    found = next((a for a in pair.aggregates if a.variant == variant), None)
    if found is None or math.isnan(found.value):
        return f"n/a: {pair.reason if found is None else found.reason}"
    return f"{found.value:.3f} [{found.low:.3f}, {found.high:.3f}]"


def _label(record: Record, records: Sequence[Record], over_seeds: bool = False) -> str:
    """The method, with the settings (and seed) that tell it from others of its name."""
    same = [{"seed": r.seed, **r.settings} for r in records if r.method == record.method]
    asked = dict(record.settings) if over_seeds else {"seed": record.seed, **record.settings}
    differs = [f"{name}={value}" for name, value in asked.items() if any(other.get(name) != value for other in same)]
    return record.method + (":" if differs else "") + ",".join(differs)


def compare(
    url: str, metric: str = "head_universality", tasks: Sequence[str] = (), methods: Sequence[str] = ()
) -> CellComparison:
    """Compares the cells of every method on two tasks, or over seeds where the metric asks for that.

    Of one model where it has both tasks, else of two models, each with its own task (checkpoints of one architecture).

    Args:
        url: The store.
        metric: A metric of scope `cells`, with settings after a colon.
        tasks: Two or more: only pairs of these; one: only pairs with it. Over seeds: only these.
        methods: Only these.

    Raises:
        UsageError: No such store, task or method in it, a metric of another scope, nothing to compare.
    """
    spec = Spec.parse(metric)
    METRICS.require(spec.name)
    made = METRICS.create(spec)
    if made.scope != "cells":
        raise UsageError(f"{made.name} scores single cells: use `flowgauge score {url} --metric {metric}`.")
    store = Store(url)
    records = [r for r in store.records() if r.instances and r.status in ("done", "partial")]
    for kind, wanted in (("task", tasks), ("method", methods)):
        known = {getattr(r, kind) for r in records}
        for name in wanted:
            if name not in known:
                raise UnknownName(f"{kind} with explanations in this store", name, known)
    across = getattr(made, "across", "tasks")
    found = _seeds(records) if across == "seeds" else _pairs(records)
    groups = [g for g in found if _asked(g, tasks) and (not methods or g[0].method in methods)]
    if not groups:
        wanted = "several seeds (of a method that draws)" if across == "seeds" else "two tasks asked for"
        remedy = "`flowgauge run --seed 0 --seed 1 --seed 2` adds seeds" if across == "seeds" else "`flowgauge run` adds a task"
        raise UsageError(f"no method in {url!r} has explanations of {wanted}; {remedy}.")
    return CellComparison(made.name, made.ranked, tuple(_compare(made, store, *group) for group in groups), across)


def _asked(group: Sequence[Record], tasks: Sequence[str]) -> bool:
    inside = [record.task in tasks for record in group]
    return not tasks or (any(inside) if len(set(tasks)) == 1 else all(inside))


def _pairs(records: Sequence[Record]) -> Iterator[tuple[Record, Record]]:
    """Cells of the same method, settings and seed on different tasks; of several on one task that with most instances."""
    found: dict[str, dict[tuple[str, str], Record]] = {}
    for record in sorted(records, key=lambda r: (r.method, r.model, r.task, -r.instances)):
        of_method = found.setdefault(json.dumps([record.key["method"], record.seed], sort_keys=True), {})
        of_method.setdefault((_checkpoint(record), record.task), record)
    for cells in found.values():
        for one, other in combinations(cells.values(), 2):
            here, there = _checkpoint(one), _checkpoint(other)
            crossed = {(here, other.task), (there, one.task)} & cells.keys()
            if one.task != other.task and (here == there or not crossed):
                yield one, other


def _seeds(records: Sequence[Record]) -> Iterator[tuple[Record, ...]]:
    """Cells whose keys differ in the seed alone, by seed."""
    found: dict[str, list[Record]] = {}
    for record in sorted(records, key=lambda r: (r.method, r.model, r.task, r.seed or 0)):
        if record.key.get("seed") is not None:
            rest = {name: value for name, value in record.key.items() if name not in ("seed", "explanations")}
            found.setdefault(json.dumps(rest, sort_keys=True), []).append(record)
    yield from (tuple(group) for group in found.values() if len(group) > 1)


def _checkpoint(record: Record) -> str:
    return f"{record.model} {record.key.get('fingerprint', '')} {record.key.get('dtype', '')}"


@dataclass(frozen=True, eq=False)
class _Gold(Iterable[Explanation]):
    """A cell's explanations, one file at a time: edges of a whole cell need not fit in memory."""

    cell: Cell

    def __iter__(self) -> Iterator[Explanation]:
        for part in self.cell.parts():
            yield from part.gold


def _explained(store: Store, record: Record) -> ExplainedCell:
    cell = store.find(record)
    sentences = cell.sentences()
    if len(sentences) != record.instances:
        raise UsageError(f"explanations of {record.method} on {record.task} are missing or damaged: run its plan again.")
    return ExplainedCell(tuple(sentences), tuple(s.condition for s in sentences.values()), _Gold(cell))


def _compare(metric: Any, store: Store, one: Record, other: Record, *more: Record) -> CellPair:
    try:
        found = metric.compare(*(_explained(store, record) for record in (one, other, *more)))
        return CellPair(one, other, tuple(found), more=more)
    except NotApplicable as reason:
        return CellPair(one, other, reason=str(reason), more=more)
