"""The work on one group of cells: explain batch by batch, score cell by cell, write each record last."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from ...core.errors import PLUGIN_ERRORS, FlowgaugeError, NotApplicable, one_line
from ...core.registry import source_hash
from ...models.inputs.encode import reseed
from ...models.layered import Layered
from ..store.record import Cost, Record, Score, Status
from .explain import PreparedBatch, explain_batch
from .jobs import Job, JobGroup
from .method_trainer import MethodTrainer
from .prepared import PreparedBatches
from .progress import Progress
from .provenance import provenance
from .scoring import ExplainedBatches, score_job
from .trained_weights import TrainedWeights

log = logging.getLogger(__name__)


def work(
    group: JobGroup,
    jobs: Sequence[Job],
    metrics: Sequence[Any],
    encodings: PreparedBatches,
    progress: Progress,
    fits: TrainedWeights,
) -> None:
    """Does what is left to do for the jobs of a group; each ends with a record."""
    model, started = encodings.model, _now()
    trainer = MethodTrainer(fits, model, encodings.labels)
    _explain(model, group, jobs, encodings, progress, trainer)

    def show(job: Job) -> ExplainedBatches:
        explain = None if job.method is None else lambda batch: trainer.ready(job).explain(model, reseed(batch, job.seed))
        return ExplainedBatches(job.cell, encodings, len(encodings), explain)

    for job in jobs:
        if not job.stopped:
            progress.step(f"{group.task.name}: scoring {job.name}", 0)
            score_job(model, group, job, metrics, show)
        progress.step(group.task.name, len(metrics))
        if job.method is None and job.error and job.record:  # what is stored stays as it is
            job.record = job.record.model_copy(update={"status": "failed", "error": job.error})
            continue
        job.cell.sweep()
        job.record = _record(model, group, job, encodings, started)
        job.cell.write_record(job.record)
        if job.record.status == "done":
            _forget_failures(job)
    encodings.free()


def _forget_failures(job: Job) -> None:
    """Removes failed cells of the same plug-in before it was edited."""
    for cell in job.cell.siblings(job.name):
        record = cell.record()
        if record is not None and record.status == "failed" and _unsourced(record.key) == _unsourced(job.key):
            cell.remove()


def _unsourced(key: dict[str, Any]) -> dict[str, Any]:
    return {**key, "method": {**key["method"], "source": ""}}


def _explain(
    model: Layered, group: JobGroup, jobs: Sequence[Job], encodings: PreparedBatches, progress: Progress, trainer: MethodTrainer
) -> None:
    """Explains what is not stored yet; a cell that fails is left and the others go on."""
    first = 0
    for number, batch in enumerate(encodings.encoded.batches):
        for job in jobs:
            if not job.stopped and any(name not in job.cell.index for name in batch.names):
                progress.step(f"{group.task.name}: {job.name}", 0)
                _explain_one(model, job, encodings(number), first, trainer)
        progress.step(group.task.name, len(jobs))
        first += len(batch)
    encodings.free()


def _explain_one(model: Layered, job: Job, asked: PreparedBatch, first: int, trainer: MethodTrainer) -> None:
    if job.method is None:
        job.error = "some of its explanations are missing or damaged: run its plan again."
        return
    foreign = source_hash(job.method) != ""
    before = _weights(model) if foreign else 0.0
    try:
        part = explain_batch(model, trainer.ready(job), asked, job.seed)
    except NotApplicable as reason:
        job.unfit = str(reason)
    except PLUGIN_ERRORS as error:
        log.debug("method %s failed", job.name, exc_info=True)
        job.error = one_line(error) if not isinstance(error, FlowgaugeError) else str(error)
    if foreign and _weights(model) != before:
        raise FlowgaugeError(
            f"method {job.name!r} changed the model's weights, so the run was stopped before anything else could use them: "
            "give the method a copy to change, and run the same command again."
        )
    if not job.stopped:
        job.cell.write_part(first, part)


def _weights(model: Layered) -> float:
    """A number that any change of a weight is almost sure to change."""
    return sum(float(w.detach().double().abs().sum()) for w in model.parameters())


def _record(model: Layered, group: JobGroup, job: Job, encodings: PreparedBatches, started: str) -> Record:
    scores = _scores(job)
    broken = [f"{s.metric}: {s.reason}" for s in scores.values() if s.status == "failed"]
    status: Status = "failed" if job.error else "not-applicable" if job.unfit else "partial" if broken else "done"
    sentences, costs = job.cell.summary()
    return Record(
        cell=job.cell.folder.rpartition("-")[2],
        key=job.key,
        model=model.name,
        task=group.task.name,
        method=job.name,
        seed=job.key["seed"],
        settings=job.key["method"]["settings"],
        status=status,
        error=job.error or job.unfit or "; ".join(broken),
        instances=len(sentences),
        correct=sum(s.correct for s in sentences.values()),
        skipped=encodings.encoded.skipped,
        cut=encodings.encoded.cut,
        labels=dict(encodings.labels),
        scores=scores,
        cost=_cost(costs),
        provenance=job.record.provenance
        if job.explained and job.record
        else provenance(model, max(map(len, encodings.encoded.batches))),
        task_source=str(group.task.source),
        asked=job.asked,
        started=job.record.started if job.explained and job.record else started,
        finished=_now(),
        files=job.cell.sums(),
    )


def _scores(job: Job) -> dict[str, Score]:
    """Earlier scores and new ones; a failure is this run's to report and no later one's."""
    before = job.record.scores if job.record else job.cell.scores()
    return {id: score for id, score in before.items() if score.status != "failed"} | job.scores


def _cost(parts: Sequence[Any]) -> Cost | None:
    count = int(sum(p["explanations"] for p in parts))
    if not count:
        return None
    own, charged = sum(p["own_seconds"] for p in parts), sum(p["charged_seconds"] for p in parts)
    peak = int(max(p["peak_bytes"] for p in parts))
    return Cost(seconds=(own + charged) / count, own_seconds=own, charged_seconds=charged, explanations=count, peak_bytes=peak)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
