"""What a run returns: its records, and one table of them. No torch."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from .record import Record, Score
from .store import Cell, Store

COLUMNS = (
    "model", "task", "method", "seed", "cell", "status", "metric", "variant", "value", "low", "high", "count", "undefined",
    "sd_draws", "higher_is_better", "unit", "reason", "seconds",
)  # fmt: skip


@dataclass(frozen=True)
class Results:
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
        """0: every cell is whole (or not applicable); 1: some failed."""
        return 1 if self.failed else 0

    def cell(self, record: Record) -> Cell:
        """A record's cell, for its explanations and score rows."""
        return Store(self.store).find(record)

    def summary(self) -> list[tuple[str, ...]]:
        """Task, method, metric, its ranked variant, value, 95 % interval (or why there is no value) and count, as text."""
        return [row for record in self.records for row in _summary(record)]

    def to_pandas(self) -> pd.DataFrame:
        """One row an aggregate; a score or cell that has none is one row with NaN and the reason."""
        return table(self.records)


def _summary(record: Record) -> list[tuple[str, ...]]:
    if not record.scores:
        return [(record.task, record.method, "", record.status, "-", record.error, "0")]
    return [(record.task, record.method, score.metric, *_ranked(score)) for score in record.scores.values()]


def _ranked(score: Score) -> tuple[str, ...]:
    found = next((a for a in score.aggregates if a.variant == score.ranked), None)
    if found is None:
        return score.status, "-", score.reason, "0"
    if math.isnan(found.value):
        return found.variant, "-", found.reason, str(found.count)
    return found.variant, f"{found.value:.3f}", f"[{found.low:.3f}, {found.high:.3f}]", str(found.count)


def table(records: tuple[Record, ...] | list[Record]) -> pd.DataFrame:
    """Records as a table with the columns `COLUMNS`."""
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
        named = {**cell, "metric": score.metric, "higher_is_better": score.higher_is_better, "unit": score.unit}
        if not score.aggregates:
            rows.append({**named, "reason": f"{score.status}: {score.reason}"})
        rows.extend({**named, **aggregate.model_dump()} for aggregate in score.aggregates)
    return rows or [cell]
