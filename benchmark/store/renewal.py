"""Today's intervals of scores that have those of version 0.1, from the stored rows of their instances.

Version 0.1 bootstrapped its intervals, and nobody can check those ends any more. Whatever shows a record reads it through
`renewed`, so that one mean has one interval everywhere; `renewable` is what may be written in the place of such a record, and
`renew` writes it for a whole store.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ...core.errors import FlowgaugeError
from ...metrics.scores import NO_INTERVAL, Aggregate
from ...metrics.statistics.intervals import INTERVALS, Bounds
from ...metrics.summary import summarise
from .cell import Cell
from .mending import metric_spec
from .record import Record, Score
from .store import Store

log = logging.getLogger(__name__)
ROUNDING = 1e-6
"""How far means of the same rows may lie apart, relative to 1 + their size."""
KEPT = ("value", "count", "undefined")
"""What a new interval leaves as it is."""


def is_old(score: Score) -> bool:
    """Whether a score has intervals of an earlier version."""
    return bool(score.aggregates) and score.intervals != INTERVALS


def renewed(cell: Cell, record: Record) -> Record:
    """A record with today's intervals, for whoever shows it.

    Args:
        cell: The cell of the record; it is read only where an interval is old.
        record: As stored.
    """
    return _with_scores(record, {name: renewed_score(cell, score) for name, score in record.scores.items() if is_old(score)})


def renewable(cell: Cell, record: Record) -> Record:
    """A record as it may be written: with today's intervals in every score whose rows give all of them; others stay as stored.

    Args:
        cell: The cell of the record.
        record: As stored.
    """
    scores = {name: renewed_score(cell, score) for name, score in record.scores.items() if is_old(score)}
    return _with_scores(record, {name: score for name, score in scores.items() if not is_old(score)})


class Renewal(NamedTuple):
    """What `renew` did.

    Attributes:
        scores: How many scores got today's intervals in their records.
        cells: How many cells these are in.
        left: Metrics whose scores have to be computed anew for that, as the command line takes them.
    """

    scores: int
    cells: int
    left: tuple[str, ...]


def renew(url: str) -> Renewal:
    """Writes today's intervals into the records of a store; files of rows and explanations stay as they are.

    Args:
        url: The store; the cells of a board have to be renewed with its ledger (`leaderboards.submission.renew_board`).

    Raises:
        UsageError: No such store.
    """
    store, counts, left = Store(url), list[int](), dict[str, None]()
    for record in store.records():
        if not count_old(record):
            continue
        cell = store.find(record)
        with cell.files.alone():
            stored = cell.record() or record
            written = renewable(cell, stored)
            if written is not stored:
                cell.write_record(written)
        counts.append(count_old(stored) - count_old(written))
        left |= {metric_spec(score): None for score in written.scores.values() if is_old(score)}
    return Renewal(sum(counts), sum(map(bool, counts)), tuple(left))


def count_old(record: Record) -> int:
    """How many scores of a record have intervals of an earlier version."""
    return sum(map(is_old, record.scores.values()))


def _with_scores(record: Record, changed: Mapping[str, Score]) -> Record:
    return record.model_copy(update={"scores": {**record.scores, **changed}}) if changed else record


def renewed_score(cell: Cell, score: Score) -> Score:
    """A score with today's intervals, which are those of the means of its rows.

    An aggregate without rows, such as one of the whole set, gets no interval and a reason that says what computes one. Where the
    rows give another mean or count than is stored, the record is wrong: a warning says so, and what the rows give is shown.

    Args:
        cell: The cell that the score is of.
        score: As stored.

    Returns:
        The score. Its `intervals` stay those of the old version where an aggregate got none of today's, or was wrong.
    """
    if not is_old(score):
        return score
    try:
        means = _means(cell, score) if score.scope == "instance" else {}
    except FlowgaugeError as error:
        why = f"{NO_INTERVAL} its rows: {error}"
        return score.model_copy(update={"aggregates": tuple(_without_interval(each, why) for each in score.aggregates)})
    fault = next(
        (fault for each in score.aggregates if each.variant in means and (fault := _fault(each, means[each.variant]))), ""
    )
    if fault:
        log.warning("%s, %s: %s; its rows are right.", cell.path, score.metric, fault)
    why = f"{NO_INTERVAL} to be computed anew, which `flowgauge score {cell.files.url} --metric {metric_spec(score)}` does."
    whole, aggregates = not fault, []
    for each in score.aggregates:
        mean = means.get(each.variant)
        if mean is not None:
            aggregates.append(
                mean if fault else replace(each, low=mean.low, high=mean.high, bias=mean.bias, clusters=mean.clusters)
            )
        else:
            aggregates.append(_without_interval(each, why))
            whole = whole and bool(np.isnan(each.value))
    return score.model_copy(update={"aggregates": tuple(aggregates), **({"intervals": INTERVALS} if whole else {})})


def _fault(stored: Aggregate, mean: Aggregate) -> str:
    """What a stored aggregate says otherwise than its rows; empty for nothing."""
    for name in KEPT:
        there, here = getattr(stored, name), getattr(mean, name)
        if not np.isclose(there, here, rtol=ROUNDING, atol=ROUNDING, equal_nan=True):
            return f"{name} of {stored.variant} is {there:g}, its rows give {here:g}"
    return ""


def _without_interval(aggregate: Aggregate, why: str) -> Aggregate:
    if np.isnan(aggregate.value):
        return aggregate
    reason = "; ".join(filter(None, (aggregate.reason.rstrip("."), why)))
    return replace(aggregate, low=np.nan, high=np.nan, bias=None, reason=reason)


@dataclass(frozen=True)
class _Rows:
    """Where the rows of a score are; those of one sum are equal, so that a process summarises them once."""

    total: str
    cell: Cell = field(compare=False)
    metric: str = field(compare=False)


def _means(cell: Cell, score: Score) -> dict[str, Aggregate]:
    """The mean of every variant that has rows.

    Raises:
        FlowgaugeError: The rows are missing or damaged.
    """
    name = f"scores/{score.metric}.parquet"
    total = cell.listed.files.get(name, "") if cell.listed else ""
    rows = _Rows(total or f"{cell.files.url}/{cell.path}/{name}", cell, score.metric)
    return {mean.variant: mean for mean in (_summary if total else _summary.__wrapped__)(rows, score.bounds)}


@lru_cache(maxsize=10_000)
def _summary(rows: _Rows, bounds: Bounds) -> tuple[Aggregate, ...]:
    return summarise(rows.cell.rows(rows.metric), bounds)
