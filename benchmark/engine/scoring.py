"""Scores a cell from its stored explanations, metric by metric."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Sequence
from typing import Any, overload

from ...core.errors import PLUGIN_ERRORS, NotApplicable, one_line
from ...core.registry import settings
from ...methods.explanation import Explanation
from ...metrics.base import Aggregate, ExplainedBatch, Scores
from ...metrics.summary import summarise
from ...models.batch import Batch
from ...models.flow.flow_model import FlowModel
from ...models.layered import Layered
from ..store.key import canonical, metric_id
from ..store.record import Score
from ..store.store import Cell
from .explain import PreparedBatch
from .jobs import Job, JobGroup

log = logging.getLogger(__name__)


class ExplainedBatches(Sequence[ExplainedBatch]):
    """A cell's explained batches, read from the store as they are asked for.

    Work that a metric shares on a batch's cache is dropped when it goes on to another batch.
    """

    def __init__(
        self,
        cell: Cell,
        asked: Callable[[int], PreparedBatch],
        length: int,
        explain: Callable[[Batch], list[Explanation]] | None = None,
    ) -> None:
        self.cell, self.asked, self.length, self.explain = cell, asked, length, explain

    def __len__(self) -> int:
        return self.length

    @overload
    def __getitem__(self, index: int) -> ExplainedBatch: ...
    @overload
    def __getitem__(self, index: slice) -> list[ExplainedBatch]: ...
    def __getitem__(self, index: int | slice) -> ExplainedBatch | list[ExplainedBatch]:
        """The batch with its stored explanations."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(self.length))]
        if not -self.length <= index < self.length:
            raise IndexError(index)
        asked = self.asked(index % self.length)
        gold, guided = self.cell.explanations(asked.batch.names)
        return ExplainedBatch(asked.batch, asked.predicted_batch, asked.instances, gold, guided, self.explain)


def score_job(model: Layered, group: JobGroup, job: Job, metrics: Sequence[Any], show: Callable[[Job], ExplainedBatches]) -> None:
    """Fills `job.scores`; a whole file of an earlier run is taken as it is.

    A metric that fails is noted with its reason and the others go on.
    """
    for metric in metrics:
        name, reference = metric_id(metric), group.references.get(metric_id(metric))
        folder = reference.cell.folder if reference else ""
        stored = job.cell.read_score(name)
        if stored is not None and stored.reference == folder:
            job.scores[name] = stored
            continue
        declared = _declared(metric, folder)
        started = time.perf_counter()
        try:
            explained = show(job)
            _check_needs_met(metric, model, explained)
            against = _reference(metric, reference, show)
            found = metric.score(model, explained, against)
            aggregates = _aggregates(found)
        except NotApplicable as reason:
            job.scores[name] = declared.model_copy(update={"status": "not-applicable", "reason": str(reason)})
        except PLUGIN_ERRORS as error:
            log.debug("metric %s failed on %s", name, job.cell.path, exc_info=True)
            job.scores[name] = declared.model_copy(update={"status": "failed", "reason": one_line(error)})
        else:
            update = {"aggregates": aggregates, "ranked": _ranked(metric, aggregates), "seconds": time.perf_counter() - started}
            score = declared.model_copy(update=update)
            job.cell.write_scores(score, found.rows)
            job.scores[name] = score


def _check_needs_met(metric: Any, model: Layered, explained: ExplainedBatches) -> None:
    needs = getattr(metric, "needs", ())
    if "transformer" in needs and not isinstance(model, FlowModel):
        raise NotApplicable(f"it works inside a transformer, and {model.name} is none.")
    if "target" in needs and explained[0].batch.target is None:
        raise NotApplicable("it needs one position to read q at, and this task reads several.")


def _reference(metric: Any, reference: Job | None, show: Callable[[Job], ExplainedBatches]) -> ExplainedBatches | None:
    if metric.scope == "cells":
        raise NotApplicable("it compares cells: use `flowgauge compare`.")
    if reference is None:
        if metric.reference:
            raise NotApplicable(f"its reference method {metric.reference} has no cell here: run it too.")
        return None
    stored = reference.record
    unfit = reference.unfit or (stored.error if stored is not None and stored.status == "not-applicable" else "")
    if unfit:
        raise NotApplicable(f"its reference method {reference.name} is not applicable: {unfit}")
    if reference.error:
        raise RuntimeError(f"its reference method {reference.name} failed: {reference.error}")
    return show(reference)


def _aggregates(found: Scores) -> tuple[Aggregate, ...]:
    return tuple(found.aggregates or summarise(found.rows))


def _ranked(metric: Any, aggregates: Sequence[Aggregate]) -> str:
    """The variant a metric declares as the one to rank by; where it declares none, the first."""
    named: str = metric.ranked
    return named or next((aggregate.variant for aggregate in aggregates), "")


def _declared(metric: Any, reference: str) -> Score:
    return Score(
        metric=metric_id(metric),
        name=metric.name,
        version=metric.version,
        settings=json.loads(canonical(settings(metric))),
        reference=reference,
        scope=metric.scope,
        reads=metric.reads,
        higher_is_better=metric.higher_is_better,
        bounds=metric.bounds,
        unit=metric.unit,
        source=metric.source,
    )
