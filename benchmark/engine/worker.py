"""What is left to do for one group of cells, as shares: explained batch by batch, scored cell by cell, each record last."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from ...core.errors import FlowgaugeError, NotApplicable, SharedStateChanged, shortened
from ...core.progress import Progress
from ...models.batch import Batch
from ...models.memory import OutOfMemory, is_out_of_memory
from ...models.shared_model import SharedModel
from ..loading.trained_weights import TrainedWeights
from ..sharing.shares import Share, WorkerTurn
from ..store.damage import mend
from ..store.key import metric_id
from ..store.record import Cost, Record, Score, Status
from ..store.renewal import renewable
from ..store.store import Cell
from .explain import PreparedBatch, explain_batch, warm_up
from .jobs import Job, JobGroup, finished
from .method_trainer import MethodTrainer
from .prepared import PreparedBatches, encode_group
from .provenance import provenance
from .scoring import ExplainedBatches, explainer, score_job

log = logging.getLogger(__name__)


@dataclass(eq=False)
class GroupWork:
    """What is left to do for the jobs of a group, as shares; each job ends with a record.

    Attributes:
        group: The model, the task and the budgets that metrics are matched to.
        jobs: The cells of the group that are not finished.
        metrics: What they are scored by.
        batches: The group's instances.
        progress: The progress bar; every job takes one step a batch and one a metric.
        trained_weights: Where weights of methods that are trained are kept.
        report: Called with the record of every job, once it is stored.
    """

    group: JobGroup
    jobs: Sequence[Job]
    metrics: Sequence[Any]
    batches: PreparedBatches
    progress: Progress
    trained_weights: TrainedWeights
    report: Callable[[Record], None] | None = None

    def __post_init__(self) -> None:
        self.started, self.is_warm = _now(), False
        self._is_alone = True
        self._failed: list[tuple[dict[str, Any], Cell]] | None = None
        self._most: dict[int, int] = {}
        self.scored = self.batches
        self.trainer = MethodTrainer(self.trained_weights, self.batches.model, self.batches.labels)
        for job in self.jobs:
            if job.method is not None:
                job.record = mend(job.cell)
                job.not_applicable = shortened(self.batches.refusal) or job.not_applicable

    def shares(self, turn: WorkerTurn) -> list[Share]:
        """What to explain, batch by batch, and then what to score, cell by cell."""
        self._is_alone = turn.workers == 1  # each of several counts what it does itself
        firsts = [0]
        for batch in self.batches.encoded.batches:
            firsts.append(firsts[-1] + len(batch))
        explained: dict[int, list[Share]] = {id(job): [] for job in self.jobs}
        explaining: list[Share] = []
        for index in turn.rotate(range(len(self.batches))):
            for job in self.jobs:
                share = _ToExplain(self, job, index, firsts[index])
                explained[id(job)].append(share)
                explaining.append(share)
        scoring = list[Share]()
        for job in self.jobs:
            needed = [job, *(reference for reference in self.group.references.values() if reference is not None)]
            shares = [share for of in needed for share in explained.get(id(of), ())]
            scoring.append(_ToScore(self, job, shares))
        return [*explaining, *scoring]

    def explain(self, job: Job, index: int, first: int) -> None:
        """Explains those instances of a batch that are not stored, and stores them; notes why where that fails."""
        batch, is_ours = self.batches.encoded.batches[index], False
        while not job.is_settled and (rows := _missing(job, batch)[: self._most.get(id(job))]):
            self.progress.step(f"{self.group.task.name}: {job.name}", 0)
            if not self.is_warm:
                warm_up(self.batches.model, batch, [each.method for each in self.jobs])
                self.is_warm = True
            try:
                _explain_job(self.batches.shared, job, self.batches(index, rows), first + rows[0], self.trainer)
            except OutOfMemory as reason:
                self.batches.free()
                if len(rows) == 1:
                    job.error = shortened(f"one instance takes more memory than there is: {reason}")
                    continue
                self._most[id(job)] = len(rows) // 2
                log.warning(
                    "memory ran out in %s with %d instances at once; %d from here on.", job.name, len(rows), len(rows) // 2
                )
            is_ours = True
        if is_ours or self._is_alone:
            self.progress.step(self.group.task.name)

    def score(self, job: Job) -> None:
        """Scores a cell and writes its record, unless another process has done so meanwhile."""
        is_ours = not self._adopt(job)
        if is_ours:
            if not job.is_settled:
                self.progress.step(f"{self.group.task.name}: scoring {job.name}", 0)
                score_job(self.scored.shared, self.group, job, self.metrics, self._show, self._halve)
            self._conclude(job)
        if is_ours or self._is_alone:
            self.progress.step(self.group.task.name, len(self.metrics))

    def _adopt(self, job: Job) -> bool:
        """Whether another process has stored a record of the job in the meantime that leaves nothing to do."""
        if job.method is None or (stored := job.cell.record()) is None or stored == job.record:
            return False
        mine, job.record = job.record, stored
        has_failed_here_too = stored.status == "failed" and job.is_settled
        if has_failed_here_too or finished(job, self.group, self.metrics) or self._is_scored_by(stored):
            return True
        job.record = mine if mine is not None else stored
        return False

    def _is_scored_by(self, stored: Record) -> bool:
        """Whether a record that another process has just written has every metric, be it as one that failed."""
        names = [metric_id(metric) for metric in self.metrics]
        references = {name: of.cell.folder if (of := self.group.references.get(name)) else "" for name in names}
        scores = stored.scores
        return stored.status == "partial" and all(n in scores and scores[n].reference == references[n] for n in names)

    def _show(self, job: Job) -> ExplainedBatches:
        explain = explainer(job.method, self.batches.model, job.seed, lambda: self.trainer.ready(job))
        return ExplainedBatches(job.cell, self.scored, None if job.method is None else explain)

    def _halve(self) -> bool:
        """Whether the batches that are scored could be made smaller, as they are from now on."""
        self.scored.free()
        largest = max(map(len, self.scored.encoded.batches))
        if largest == 1:
            return False
        self.scored = encode_group(self.group, self.metrics, largest // 2)
        log.warning("memory ran out in scoring %s with %d instances at once; half from here on.", self.group.task.name, largest)
        return True

    def _conclude(self, job: Job) -> None:
        if job.method is None and job.error and job.record:  # what is stored stays as it is
            job.record = job.record.model_copy(update={"status": "failed", "error": job.error})
            return
        with job.cell.files.alone():
            job.record = renewable(job.cell, _record(self.group, job, self.batches, self.trainer, self.started))
            job.cell.write_record(job.record)
        if self.report is not None:
            self.report(job.record)
        if job.record.status == "done":
            self._remove_failed_versions(job)

    def _remove_failed_versions(self, job: Job) -> None:
        """Removes failed cells of the same plug-in from before its source was edited."""
        if self._failed is None:  # listed once: a task may have ten thousand cells
            own = {each.cell.path for each in self.jobs}
            others = [cell for cell in job.cell.siblings() if cell.path not in own]
            self._failed = [(r.key, cell) for cell in others if (r := cell.record()) is not None and r.status == "failed"]
        for key, cell in self._failed:
            if _without_source(key) == _without_source(job.key):
                with suppress(FileNotFoundError):  # another process has removed it
                    now = cell.record()
                    if now is not None and now.status == "failed":  # nobody has mended it meanwhile
                        cell.remove()


@dataclass(eq=False)
class _ToExplain:
    """The instances of one batch, to be explained by one method."""

    group_work: GroupWork
    job: Job
    index: int
    first: int
    is_done: bool = False
    is_ready: bool = True

    @property
    def memory(self) -> PreparedBatches:
        return self.group_work.batches

    def claims(self) -> list[str]:
        training = self.group_work.trainer.training(self.job)  # one process trains, and the others go on with other shares
        return [f"{self.job.cell.path}/{self.first:05d}", *([training] if training else [])]

    def work(self) -> None:
        self.group_work.explain(self.job, self.index, self.first)
        self.is_done = True


@dataclass(eq=False)
class _ToScore:
    """A cell, to be scored by all metrics."""

    group_work: GroupWork
    job: Job
    needed: list[Share]
    is_done: bool = False

    @property
    def is_ready(self) -> bool:
        return all(share.is_done for share in self.needed)

    @property
    def memory(self) -> PreparedBatches:
        return self.group_work.scored

    def claims(self) -> list[str]:
        return [f"{self.job.cell.path}/scores"]

    def work(self) -> None:
        self.group_work.score(self.job)
        self.is_done = True


def _without_source(key: dict[str, Any]) -> dict[str, Any]:
    return {**key, "method": {**key["method"], "source": ""}}


def _missing(job: Job, batch: Batch) -> tuple[int, ...]:
    """Rows of a batch that are not stored, after a look at what other processes have stored meanwhile."""
    if any(name not in job.cell.index for name in batch.names):
        job.cell.refresh()
    return tuple(row for row, name in enumerate(batch.names) if name not in job.cell.index)


def _explain_job(shared: SharedModel, job: Job, prepared: PreparedBatch, first: int, trainer: MethodTrainer) -> None:
    """Explains one batch, whose first instance has the index `first`, and stores it; notes why where that fails.

    Raises:
        OutOfMemory: Fewer instances at once may do.
    """
    if job.method is None:
        job.error = f"some of its explanations are missing or damaged. {job.cell.remedy}"
        return
    is_trained = False
    try:
        with shared.lent_to(job.method):
            method, is_trained = trainer.ready(job), True
            part = explain_batch(shared.model, method, prepared, job.seed)
    except SharedStateChanged:
        raise
    except NotApplicable as reason:
        job.not_applicable = shortened(str(reason))
    except FlowgaugeError as error:
        if is_out_of_memory(error) and is_trained:  # a training takes its own batches
            raise OutOfMemory(str(error)) from error
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
