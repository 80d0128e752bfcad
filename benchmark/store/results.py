"""The records that a run returns, and tables of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from ...metrics.scores import with_interval
from .record import Record
from .store import Cell, Store

COLUMNS = (
    "model", "task", "method", "seed", "cell", "status", "metric", "variant", "value", "low", "high", "count", "undefined",
    "sd_draws", "higher_is_better", "unit", "reason", "seconds",
)  # fmt: skip


@dataclass(frozen=True)
class RunRecords:
    """The cells of a plan.

    Attributes:
        store: URL of the store.
        records: One a cell, in the plan's order.
    """

    store: str
    records: tuple[Record, ...]

    @property
    def failed(self) -> tuple[Record, ...]:
        """Cells that failed, or of which a metric failed."""
        return tuple(r for r in self.records if r.status in ("failed", "partial"))

    @property
    def exit_code(self) -> int:
        """0 if every cell is done or not applicable, 1 if some failed."""
        return 1 if self.failed else 0

    def cell(self, record: Record) -> Cell:
        """The cell of a record, which holds explanations and score rows."""
        return Store(self.store).find(record)

    def summary(self) -> list[tuple[str, ...]]:
        """A head and one row a cell: task, method, instances, then each metric's ranked variant as `value [low, high]`."""
        variants: dict[str, str] = {}
        for record in self.records:
            for name, score in record.scores.items():
                variants[name] = variants.get(name) or score.ranked
        head = ("task", "method", "n", *(f"{name}\n{variant}" for name, variant in variants.items()))
        return [head, *((r.task, r.method, str(r.instances), *(_ranked(r, name) for name in variants)) for r in self.records)]

    def to_pandas(self) -> pd.DataFrame:
        """One row an aggregate; a score or a cell without any is one row with NaN and the reason."""
        return table(self.records)


def _ranked(record: Record, metric: str) -> str:
    score = record.scores.get(metric)
    if score is None or score.status == "failed":
        return record.status if record.status in ("failed", "not-applicable") else score.status if score else ""
    aggregate = score.ranked_aggregate
    if aggregate is None or math.isnan(aggregate.value):
        return "n/a"
    return with_interval(aggregate.value, aggregate.low, aggregate.high, aggregate.count, aggregate.reason, aggregate.clusters)


def table(records: Sequence[Record]) -> pd.DataFrame:
    """Records as a table with the columns `COLUMNS`, one row an aggregate."""
    return pd.DataFrame([row for record in records for row in _rows(record)], columns=list(COLUMNS))


def _rows(record: Record) -> list[dict[str, object]]:
    cell: dict[str, object] = {
        **{name: getattr(record, name) for name in ("model", "task", "method", "seed", "cell", "status")},
        "seconds": record.cost.seconds if record.cost else float("nan"),
        "value": float("nan"),
        "reason": record.error,
    }
    rows = []
    for score in record.scores.values():
        row = {**cell, "metric": score.metric, "higher_is_better": score.higher_is_better, "unit": score.unit}
        if not score.aggregates:
            rows.append({**row, "reason": f"{score.status}: {score.reason}"})
        rows.extend({**row, **vars(aggregate)} for aggregate in score.aggregates)
    return rows or [cell]
