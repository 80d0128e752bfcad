"""Per-instance scores of a group of cells as one table, read from the store. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ..benchmark.record import Record, Score
from ..benchmark.store import Cell, Store
from .groups import Group, find_score
from .paired import Scored


@dataclass(frozen=True, eq=False)
class Found:
    """What a store has of one metric for a group.

    Attributes:
        scored: The methods that have scores.
        missing: Why other methods have none.
    """

    scored: Scored
    missing: dict[str, str]


def ranked_variant(group: Group, metric: str) -> tuple[str, bool | None, str]:
    """The variant that rankings use of a metric, its direction and its unit, from the first cell that has it."""
    for record in group.records:
        score = find_score(record, metric)
        if score is not None and score.ranked:
            return score.ranked, score.higher_is_better, score.unit
    return "", None, ""


def read_scores(store: Store, group: Group, metric: str, variant: str = "") -> Found:
    """Scores of every method of a group on one metric.

    Draws of an instance are averaged, and so are cells that differ in their seed alone.

    Args:
        store: Where the group's cells are.
        group: Cells of one model on the same instances.
        metric: Plain name.
        variant: Of the metric; empty: the ranked one.
    """
    default, higher, _ = ranked_variant(group, metric)
    wanted = variant or default
    columns: dict[str, list[pd.Series]] = {}
    conditions: dict[str, str] = {}
    missing: dict[str, str] = {}
    for label, record in zip(group.methods(), group.records, strict=True):
        score = find_score(record, metric)
        if score is None or score.status != "done":
            missing[label] = _why(record, score, metric)
            continue
        rows = _rows(store.find(record), score.metric, wanted)
        if not len(rows):
            missing[label] = f"{metric} has no rows of {wanted} an instance"
            continue
        conditions.update(zip(rows["instance"], rows["condition"].fillna(""), strict=True))
        columns.setdefault(label, []).append(rows.groupby("instance")["value"].mean())
    names = sorted(conditions)
    table = {label: pd.concat(parts, axis=1).mean(axis=1).reindex(names) for label, parts in columns.items()}
    values = np.stack([column.to_numpy(float) for column in table.values()]) if table else np.zeros((0, len(names)))
    scored = Scored(tuple(table), values, tuple(conditions[name] for name in names), higher)
    return Found(scored, {label: why for label, why in missing.items() if label not in table})


def _rows(cell: Cell, metric: str, variant: str) -> pd.DataFrame:
    """Instance, condition and value of one variant."""
    data = cell.files.read(cell.scores_path(metric))
    if data is None:
        return pd.DataFrame({"instance": [], "condition": [], "value": []})
    table = pq.read_table(pa.BufferReader(data), columns=["instance", "condition", "variant", "value"])
    kept: pd.DataFrame = table.filter(pc.equal(table["variant"], variant)).drop_columns(["variant"]).to_pandas()
    return kept


def _why(record: Record, score: Score | None, metric: str) -> str:
    if record.status in ("failed", "not-applicable"):
        return record.error or record.status
    return f"not scored with {metric}" if score is None else score.reason or score.status


def metrics_of(groups: Sequence[Group]) -> list[str]:
    """Plain names of the metrics that any cell has a score of, in order of appearance."""
    return list(dict.fromkeys(score.name for group in groups for record in group.records for score in record.scores.values()))
