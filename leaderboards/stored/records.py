"""The records of a store, for whoever tabulates or draws them, with what this flowgauge knows of their metrics and methods."""

from __future__ import annotations

from typing import Any

from ...benchmark.store.record import Record, Score
from ...benchmark.store.renewal import renewed
from ...benchmark.store.store import Store
from ...core.errors import UsageError
from ...core.plugin_docs import plugin_docs
from ...methods.registry import METHODS
from ...metrics.registry import METRICS

ORDERING = ("ranked", "higher_is_better", "unit")
"""What a metric declares that orders and labels tables."""


def stored_records(store_url: str) -> list[Record]:
    """Every record of a store but those of methods that no run named, which only set the budget of a metric.

    Intervals are today's (`benchmark.store.renewal`). What orders methods is taken from flowgauge's own metrics, whatever a
    record says of them.

    Raises:
        UsageError: There is no store, it is empty, or no record in it can be read.
    """
    store = Store(store_url)
    records = [as_declared(renewed(store.find(r), r)) for r in store.records() if not r.reference_only]
    if not records and (cells := len(store.cells())):
        raise UsageError(
            f"the store {store_url!r} has results ({cells} record.json), but none that can be read or shown; the `flowgauge run` "
            "that computed them mends them."
        )
    if not records:
        raise UsageError(f"the store {store_url!r} has no results yet; `flowgauge run ... --store {store_url}` adds some.")
    return records


def as_declared(record: Record) -> Record:
    """A record whose scores by flowgauge's own metrics say of them what these declare."""
    scores = {name: _declared_score(score) for name, score in record.scores.items()}
    return (
        record
        if all(scores[name] is score for name, score in record.scores.items())
        else record.model_copy(update={"scores": scores})
    )


def _declared_score(score: Score) -> Score:
    declared = plugin_docs(METRICS.builtin[score.name]).declared if score.name in METRICS.builtin else {}
    version = declared.get("version", 1)
    if score.metric != f"{score.name}@{version}":  # another version, or a metric of a user
        return score
    expected: dict[str, Any] = {name: declared[name] for name in ORDERING if name in declared}
    expected |= {"ranked": ""} if score.status != "done" else {}
    changed = {name: value for name, value in expected.items() if getattr(score, name) != value}
    return score.model_copy(update=changed) if changed else score


def shown_method(record: Record) -> str:
    """The name of a cell's method; where flowgauge has a method of that name and the cell's is not that, with what differs.

    Returns:
        Such as `attention`, `attention@9` for another version, or `attention (other code)` for a user's plug-in of that name.
    """
    method = record.key.get("method")
    if record.method not in METHODS.builtin or not isinstance(method, dict):
        return record.method
    if method.get("source"):
        return f"{record.method} (other code)"
    own = plugin_docs(METHODS.builtin[record.method]).declared.get("version", 1)
    return record.method if method.get("version", own) == own else f"{record.method}@{method['version']}"
