"""Scores a cell from its stored explanations, one metric after another."""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Sequence
from typing import Any, overload

from ...core.errors import FlowgaugeError, NotApplicable, SharedStateChanged, shortened
from ...core.foreign_code import is_foreign
from ...core.registry import settings
from ...methods.explanation import Explanation
from ...metrics.base import Aggregate, ExplainedBatch, Scores
from ...metrics.statistics.intervals import INTERVALS
from ...metrics.summary import summarise
from ...models.batch import Batch
from ...models.inputs.encode import reseed
from ...models.layered import Layered
from ...models.memory import is_out_of_memory
from ...models.shared_model import SharedModel, lent_copy
from ..loading.asked_views import remedy
from ..store.key import canonical, metric_id
from ..store.record import Score
from ..store.renewal import is_old, renewed_score
from ..store.store import Cell
from .explain import check_needs_met
from .jobs import Job, JobGroup
from .prepared import PreparedBatches

TRAINED = "the method was trained to explain one model, and cannot explain another without a training of its own."


class ExplainedBatches(Sequence[ExplainedBatch]):
    """A cell's explained batches, read from the store when a metric takes them.

    Work that a metric shares on a batch's cache is dropped when it goes on to another batch.

    Args:
        cell: Where the explanations are stored.
        batches: The batches of the cell's instances.
        explain: What `explainer` returns, for metrics that need further explanations; None where the method cannot run.
        metric: What they are shown to; a metric from outside flowgauge gets copies, in which it may write.
    """

    def __init__(
        self,
        cell: Cell,
        batches: PreparedBatches,
        explain: Callable[..., list[Explanation]] | None = None,
        metric: Any = None,
    ) -> None:
        self.cell, self.batches, self.explain, self.metric = cell, batches, explain, metric

    def __len__(self) -> int:
        return len(self.batches)

    @overload
    def __getitem__(self, index: int) -> ExplainedBatch: ...
    @overload
    def __getitem__(self, index: slice) -> list[ExplainedBatch]: ...
    def __getitem__(self, index: int | slice) -> ExplainedBatch | list[ExplainedBatch]:
        """The batch with its stored explanations."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        prepared = self.batches(index % len(self))
        shown = (prepared.instances, *self.cell.explanations(prepared.batch.names))
        batch, predicted = prepared.batch, prepared.predicted_batch
        if self.metric is not None and is_foreign(self.metric):
            batch, predicted, shown = lent_copy(batch, self.metric), lent_copy(predicted, self.metric), copy.deepcopy(shown)
        return ExplainedBatch(batch, predicted, *shown, self.explain)


def explainer(method: Any, model: Layered, seed: int, ready: Callable[[], Any]) -> Callable[..., list[Explanation]]:
    """Builds `explain(batch)`, which runs a cell's method again, and `explain(batch, other)`, which runs it on another model.

    Args:
        method: The method.
        model: The model that was explained.
        seed: The cell's seed.
        ready: Gives the method, trained where it needs that.

    Returns:
        The function; it raises NotApplicable where a method that was trained for a model is to explain another.
    """

    def explain(batch: Batch, other: Layered | None = None) -> list[Explanation]:
        if other is not None and "training" in method.needs:
            raise NotApplicable(TRAINED)
        explanations: list[Explanation] = ready().explain(other or model, lent_copy(reseed(batch, seed), method))
        return explanations

    return explain


def score_job(
    shared: SharedModel,
    group: JobGroup,
    job: Job,
    metrics: Sequence[Any],
    show: Callable[[Job], ExplainedBatches],
    halve: Callable[[], bool] = lambda: False,
) -> None:
    """Scores one cell by every metric, into `job.scores`.

    A score that an earlier run stored, with the same reference, is taken as it is, but for intervals of version 0.1: those that
    its rows give are renewed, and a score with others is computed again. A metric that fails is noted with its reason, and the
    others go on.

    Args:
        shared: The model that was explained.
        group: The cell's group, with the budgets that metrics are matched to.
        job: The cell.
        metrics: The metrics.
        show: A cell's explained batches.
        halve: Makes the batches that `show` shows smaller, where memory has run out; whether it could.
    """
    for metric in metrics:
        name, reference = metric_id(metric), group.references.get(metric_id(metric))
        folder = reference.cell.folder if reference else ""
        stored = job.cell.read_score(name)
        if stored is not None and stored.reference == folder and not is_old(stored := renewed_score(job.cell, stored)):
            job.scores[name] = stored
            continue
        scored = _scored(shared, job, metric, reference, show)
        while scored is None:
            scored = _scored(shared, job, metric, reference, show, is_last=not halve())
        job.scores[name] = scored


def _scored(
    shared: SharedModel,
    job: Job,
    metric: Any,
    reference: Job | None,
    show: Callable[[Job], ExplainedBatches],
    is_last: bool = False,
) -> Score | None:
    """A cell's score by one metric, stored where there is one; None where memory ran out, unless this is the last attempt."""
    declared = declared_score(metric, reference.cell.folder if reference else "")
    started = time.perf_counter()
    try:
        with shared.lent_to(metric, job.method):
            scores = compute(metric, shared.model, show(job), reference, show)
            aggregates = tuple(scores.aggregates or summarise(scores.rows, declared.bounds))
    except SharedStateChanged:
        raise
    except NotApplicable as reason:
        text = f"{reason} {remedy(metric, job.key['method'].get('settings', {}), job.request['method'])}".strip()
        return declared.model_copy(update={"status": "not-applicable", "reason": shortened(text)})
    except FlowgaugeError as error:
        if is_out_of_memory(error) and not is_last:
            return None
        return declared.model_copy(update={"status": "failed", "reason": shortened(str(error))})
    update = {"aggregates": aggregates, "ranked": ranked(metric, aggregates), "seconds": time.perf_counter() - started}
    return job.cell.write_scores(declared.model_copy(update=update), scores.rows)


def compute(
    metric: Any, model: Layered, explained: ExplainedBatches, reference: Job | None, show: Callable[[Job], ExplainedBatches]
) -> Scores:
    """A metric's scores of explained batches.

    Args:
        metric: The metric.
        model: The model that was explained.
        explained: The explained batches.
        reference: The cell that its budget is matched to.
        show: A cell's explained batches.

    Raises:
        NotApplicable: With the reason.
    """
    explained.metric = metric
    check_needs_met(metric, model, explained.batches.encoded.batches[0])
    reference_batches = _reference_batches(metric, reference, show)  # first, since a metric that compares cells has no `score`
    scores = metric.score(model, explained, reference_batches)
    if not isinstance(scores, Scores):
        raise FlowgaugeError(f"metric {metric.name!r} must return Scores, got {type(scores).__name__}.")
    return scores


def _reference_batches(metric: Any, reference: Job | None, show: Callable[[Job], ExplainedBatches]) -> ExplainedBatches | None:
    """The explained batches of the method whose budget the metric is matched to; None where it names no method."""
    if metric.scope == "cells":
        raise NotApplicable("it compares cells: use `flowgauge compare`.")
    if reference is None:
        if metric.reference:
            raise NotApplicable(f"its reference method {metric.reference} has no cell here: run it too.")
        return None
    stored = reference.record
    earlier = stored.error if stored is not None and stored.status == "not-applicable" else ""
    if reference.not_applicable or earlier:
        reason = reference.not_applicable or earlier
        raise NotApplicable(f"its reference method {reference.name} is not applicable: {reason}")
    if reference.error:
        raise FlowgaugeError(f"its reference method {reference.name} failed: {reference.error}")
    shown = show(reference)
    shown.metric = metric
    return shown


def ranked(metric: Any, aggregates: Sequence[Aggregate]) -> str:
    """The variant a metric declares as the one to rank by; where it declares none, the first."""
    named: str = metric.ranked
    return named or next((aggregate.variant for aggregate in aggregates), "")


def declared_score(metric: Any, reference: str) -> Score:
    """What a score says of its metric, whatever comes of it; `reference` is the cell that its budget is matched to."""
    return Score(
        metric=metric_id(metric),
        name=metric.name,
        version=metric.version,
        settings=json.loads(canonical(settings(metric))),
        intervals=INTERVALS,
        reference=reference,
        scope=metric.scope,
        reads=metric.reads,
        higher_is_better=metric.higher_is_better,
        bounds=metric.bounds,
        unit=metric.unit,
        source=metric.source,
    )
