"""Numbers of tables: a stored aggregate, or a mean over seeds, with its interval or the reason why there is none."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from ...benchmark.external.folder_format import is_outside
from ...benchmark.store.record import Record
from ..stored.comparable_cells import ComparableCells, find_aggregate, find_score
from ..stored.score_table import CellSource, read_scores
from .columns import Column


@dataclass(frozen=True)
class TableEntry:
    """One number with its 95 % interval, or the reason why there is none (then `value` is NaN).

    Attributes:
        count: Instances that the number rests on.
        undefined: Instances without a value.
        spread: Standard deviation over draws, None where nothing is drawn.
        reason: Why there is no number, or why some instances have none.
        bias: How far the number lies from the truth on average, where its interval is corrected for that.
        clusters: How many clusters the instances are in; None where each is by itself.
    """

    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    count: int = 0
    undefined: int = 0
    spread: float | None = None
    reason: str = ""
    bias: float | None = None
    clusters: int | None = None

    @property
    def known(self) -> bool:
        """Whether there is a number."""
        return not math.isnan(self.value)


def read_entry(record: Record | None, metric: str, variant: str, scale: float = 1.0) -> TableEntry:
    """The stored aggregate of one cell.

    Args:
        record: The cell; None: it was not run.
        metric: Plain name or identity.
        variant: Of the metric.
        scale: Factor on the number, its interval and its spread.
    """
    if record is None:
        return TableEntry(reason="not run")
    aggregate = find_aggregate(record, metric, variant)
    if isinstance(aggregate, str):
        return TableEntry(reason=aggregate)
    spread = None if aggregate.sd_draws is None or math.isnan(aggregate.sd_draws) else scale * aggregate.sd_draws
    return TableEntry(
        value=scale * aggregate.value, low=scale * aggregate.low, high=scale * aggregate.high, count=aggregate.count,
        undefined=aggregate.undefined, spread=spread, reason=aggregate.reason,
        bias=None if aggregate.bias is None else scale * aggregate.bias, clusters=aggregate.clusters,
    )  # fmt: skip


def column_entry(source: CellSource, group: ComparableCells, records: Sequence[Record], column: Column) -> TableEntry:
    """A method's number in a column: of its one cell as stored, of several that differ in their seed alone over the seeds.

    Over seeds the score of each instance is averaged first, and the interval is over instances and seeds; a score of the whole
    set has one number a seed, whose mean has no interval.

    Args:
        source: Finds the cells.
        group: The cells that the method's stand among.
        records: The method's cells.
        column: Names metric and variant; a column without a metric holds the seconds an explanation.
    """
    if not column.metric:
        return _seconds(records)
    entries = [read_entry(record, column.metric, column.variant) for record in records]
    known = [entry for entry in entries if entry.known]
    whole_set = of_whole_set(records, column.metric)
    if not known or len(entries) == 1:
        return entries[0]
    reason = next((entry.reason for entry in entries if entry.reason), "")
    table = read_scores(source, group.only(records), column.metric, column.variant).table
    if len(table.methods) != 1 or whole_set:
        mean = sum(entry.value for entry in known) / len(known)
        count, why = min(entry.count for entry in known), reason or "one number a seed"
        return TableEntry(mean, count=count, reason=why)
    ((value, low, high),) = table.mean_intervals().tolist()
    (count,), (clusters,) = table.counts, table.cluster_counts
    undefined = len(table.conditions) - count
    return TableEntry(value, low, high, count, undefined, reason=reason, clusters=clusters)


def of_whole_set(records: Sequence[Record], metric: str) -> bool:
    """Whether a metric gives one number for all instances, which is no mean of scores of single instances.

    Args:
        records: Cells that may have a score of it.
        metric: Plain name or identity.
    """
    return any((score := find_score(record, metric)) is not None and score.scope == "set" for record in records)


def ranked_entry(entry: TableEntry, bounds: Sequence[float], count: int, clusters: int | None = None) -> TableEntry:
    """The entry with the mean and interval of the ranking, which `compare` and the site print too.

    Args:
        entry: As stored.
        bounds: Mean and the ends of its interval.
        count: Instances it rests on.
        clusters: How many clusters they are in.
    """
    value, low, high = bounds
    return replace(entry, value=value, low=low, high=high, count=count, clusters=clusters)


def _seconds(records: Sequence[Record]) -> TableEntry:
    costs = [record.cost for record in records if record.cost is not None]
    if costs:
        return TableEntry(sum(cost.seconds for cost in costs) / len(costs), count=sum(cost.explanations for cost in costs))
    first = records[0]
    return TableEntry(reason=first.error or ("it was explained elsewhere" if is_outside(first) else "no time was recorded"))
