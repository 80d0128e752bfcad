"""Works through one group of cells: explains batch by batch, scores cell by cell, writes each record last."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from ...core.errors import FlowgaugeError, NotApplicable, SharedStateChanged, shortened
from ...core.progress import Progress
from ...methods.explanation import Explanation
from ...models.batch import Batch
from ...models.inputs.encode import reseed
from ...models.shared_model import SharedModel, lent_copy
from ..loading.trained_weights import TrainedWeights
from ..store.damage import mend
from ..store.record import Cost, Record, Score, Status
from ..store.renewal import renewable
from .explain import PreparedBatch, explain_batch, warm_up
from .jobs import Job, JobGroup
from .method_trainer import MethodTrainer
from .prepared import PreparedBatches
from .provenance import provenance
from .scoring import ExplainedBatches, score_job


def work(
    group: JobGroup,
    jobs: Sequence[Job],
    metrics: Sequence[Any],
    batches: PreparedBatches,
    progress: Progress,
    trained_weights: TrainedWeights,
    report: Callable[[Record], None] | None = None,
) -> None:
    """Does what is left to do for jobs of a group; each ends with a record.

    Args:
        group: The model, the task and the budgets that metrics are matched to.
        jobs: The cells of the group that are not finished.
        metrics: What they are scored by.
        batches: The group's instances.
        progress: The progress bar; every job takes one step a batch and one a metric.
        trained_weights: Where weights of methods that are trained are kept.
        report: Called with the record of every job, once it is stored.
    """
    model, started = batches.model, _now()
    trainer = MethodTrainer(trained_weights, model, batches.labels)
    for job in jobs:
        if job.method is not None:
            job.record = mend(job.cell)
            job.not_applicable = shortened(batches.refusal) or job.not_applicable
    _explain(group, jobs, batches, progress, trainer)

    def show(job: Job) -> ExplainedBatches:
        def explain(batch: Batch) -> list[Explanation]:
            explanations: list[Explanation] = trainer.ready(job).explain(model, lent_copy(reseed(batch, job.seed), job.method))
            return explanations

        return ExplainedBatches(job.cell, batches, None if job.method is None else explain)

    for job in jobs:
        if not job.is_settled:
            progress.step(f"{group.task.name}: scoring {job.name}", 0)
            score_job(batches.shared, group, job, metrics, show)
        progress.step(group.task.name, len(metrics))
        if job.method is None and job.error and job.record:  # what is stored stays as it is
            job.record = job.record.model_copy(update={"status": "failed", "error": job.error})
            continue
        with job.cell.files.alone():
            job.record = renewable(job.cell, _record(group, job, batches, trainer, started))
            job.cell.write_record(job.record)
        if report is not None:
            report(job.record)
        if job.record.status == "done":
            _remove_failed_versions(job)
    batches.free()


def _remove_failed_versions(job: Job) -> None:
    """Removes failed cells of the same plug-in from before its source was edited."""
    for cell in job.cell.siblings(job.name):
        record = cell.record()
        if record is not None and record.status == "failed" and _without_source(record.key) == _without_source(job.key):
            cell.remove()


def _without_source(key: dict[str, Any]) -> dict[str, Any]:
    return {**key, "method": {**key["method"], "source": ""}}


def _explain(group: JobGroup, jobs: Sequence[Job], batches: PreparedBatches, progress: Progress, trainer: MethodTrainer) -> None:
    """Explains the instances that are not stored yet, by this process or another; a cell that fails is left and others go on."""
    first, warm = 0, False
    for index, batch in enumerate(batches.encoded.batches):
        for job in jobs:
            while not job.is_settled and (rows := _missing(job, batch)):
                progress.step(f"{group.task.name}: {job.name}", 0)
                if not warm:
                    warm_up(batches.model, batch, [each.method for each in jobs])
                    warm = True
                _explain_job(batches.shared, job, batches(index, rows), first + rows[0], trainer)
        progress.step(group.task.name, len(jobs))
        first += len(batch)
    batches.free()


def _missing(job: Job, batch: Batch) -> tuple[int, ...]:
    """Rows of a batch that are not stored, after a look at what other processes have stored meanwhile."""
    if any(name not in job.cell.index for name in batch.names):
        job.cell.refresh()
    return tuple(row for row, name in enumerate(batch.names) if name not in job.cell.index)


def _explain_job(shared: SharedModel, job: Job, prepared: PreparedBatch, first: int, trainer: MethodTrainer) -> None:
    """Explains one batch, whose first instance has the index `first`, and stores it; notes why where that fails."""
    if job.method is None:
        job.error = f"some of its explanations are missing or damaged. {job.cell.remedy}"
        return
    try:
        with shared.lent_to(job.method):
            part = explain_batch(shared.model, trainer.ready(job), prepared, job.seed)
    except SharedStateChanged:
        raise
    except NotApplicable as reason:
        job.not_applicable = shortened(str(reason))
    except FlowgaugeError as error:
        job.error = shortened(str(error))
    else:
        job.cell.write_part(first, part)


def _record(group: JobGroup, job: Job, batches: PreparedBatches, trainer: MethodTrainer, started: str) -> Record:
    scores, states = _scores(job), job.cell.states()
    earlier = job.record if job.explained else None
    failed = [f"{s.metric}: {s.reason}" for s in scores.values() if s.status == "failed"]
    status: Status = "failed" if job.error else "not-applicable" if job.not_applicable else "partial" if failed else "done"
    sentences, costs = job.cell.summary()
    right = [sentence.correct for sentence in sentences.values()]
    return Record(
        cell=job.cell.folder.rpartition("-")[2],
        key=job.key,
        model=batches.model.name,
        task=group.task.name,
        method=job.name,
        seed=job.key["seed"],
        settings=job.key["method"]["settings"],
        status=status,
        error=job.error or job.not_applicable or "; ".join(failed),
        instances=len(sentences),
        correct=None if None in right else sum(map(bool, right)),
        skipped=batches.encoded.skipped,
        cut=batches.encoded.cut,
        labels=dict(batches.labels),
        scores=scores,
        cost=Cost.of_parts(costs),
        provenance=earlier.provenance
        if earlier
        else provenance(batches.model, max(map(len, batches.encoded.batches), default=0)),
        task_source=str(group.task.source),
        asked=job.request,
        started=earlier.started if earlier else started,
        finished=_now(),
        files={name: total for name, (total, _) in states.items()},
        sizes={name: size for name, (_, size) in states.items()},
        reference_only=job.reference_only and (job.record is None or job.record.reference_only),
        training=trainer.outcome(job) or (job.record.training if job.record else None),
    )


def _scores(job: Job) -> dict[str, Score]:
    """Earlier scores, also of other processes, and new ones; metrics that failed in an earlier run are not reported again."""
    stored = job.cell.record()
    earlier = job.cell.scores() | (stored.scores if stored else {})
    return {name: score for name, score in earlier.items() if score.status != "failed"} | job.scores


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
