"""Runs the methods of a bundle's cells anew: what a verifier holds stored explanations against."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Any

from ...core.errors import FlowgaugeError, NotApplicable
from ..engine import resolve
from ..engine.explain import explain_batch
from ..engine.jobs import Job, JobGroup
from ..engine.method_trainer import MethodTrainer
from ..engine.plan import Plan
from ..engine.prepared import PreparedBatches
from ..engine.trained_weights import TrainedWeights
from ..store.record import Record
from ..store.store import Store
from .explanation_difference import RerunOutcome, difference, tolerance
from .recompute_scores import ScoreRecomputer, method_of, sampled


@dataclass(frozen=True, eq=False)
class MethodRerunner:
    """Explains a seeded sample of a cell's instances anew, with the record's settings and seed.

    Methods that are trained are trained anew: weights that come with a bundle show nothing about how they were made.

    Attributes:
        recheck: Where the verifier has model and data, and the seed of the sample.
    """

    recheck: ScoreRecomputer

    def __call__(self, store: Store, record: Record, sample: int) -> RerunOutcome:
        """Holds `sample` stored explanations, of gold and predicted answers, against those that come out here.

        Raises:
            NotApplicable: The method cannot be run here, with the reason; or the cell has no explanations.
            FlowgaugeError: Another model or other instances than explained, or the method fails here.
        """
        if record.status != "done":
            raise NotApplicable(f"it has no explanations: {record.error}")
        method = method_of(record)
        group, encodings = self.recheck.encoded(store, record)
        job = job_of(group, record, method, store)
        with TemporaryDirectory() as folder:
            trainer = MethodTrainer(TrainedWeights(folder), encodings.model, encodings.labels)
            return _compare(job, record, sampled(encodings, sample, self.recheck.seed), trainer)


def job_of(group: JobGroup, record: Record, method: Any, store: Store) -> Job:
    """The cell's job with its method, and what that is trained on.

    Raises:
        FlowgaugeError: It is trained, and the task's train split is another here or the record says otherwise.
    """
    job = Job(store.find(record), record.key, method, record.method, record.seed or 0, record, record.asked)
    if hasattr(method, "fit") != ("trained_on" in record.key):
        raise FlowgaugeError(
            f"{record.method} is{'' if hasattr(method, 'fit') else ' not'} trained first, and its record says otherwise."
        )
    if hasattr(method, "fit"):
        asked, key = record.key["trained_on"], group.key
        if not isinstance(asked, Mapping) or asked.get("sample_seed") != key.sample_seed:  # another may hold what it explains
            raise FlowgaugeError(f"{record.method} was trained on another draw than the one whose instances it explains.")
        task = record.asked["task"]
        plan = Plan.make(tasks=task, split=key.split, limit=key.limit, sample_seed=key.sample_seed, fit_limit=asked.get("limit"))
        job.train = resolve.draw_train(plan, resolve.TaskSample(plan.tasks[0], group.task, key, group.instances))
        if job.train.key.fingerprint != asked.get("fingerprint"):
            raise FlowgaugeError(f"{record.method} was trained on other instances than the train split has here.")
    return job


def _compare(job: Job, record: Record, encodings: PreparedBatches, trainer: MethodTrainer) -> RerunOutcome:
    within, count, found = tolerance(str(record.key["dtype"])), 0, list[str]()
    for number in range(len(encodings)):
        asked = encodings(number)
        try:
            part = explain_batch(encodings.model, trainer.ready(job), asked, job.seed)
        except NotApplicable as reason:
            raise FlowgaugeError(f"here the method is not applicable: {reason}") from reason
        stored = job.cell.explanations(asked.batch.names)
        for name, *pairs in zip(asked.batch.names, *stored, part.gold, part.predicted, strict=True):
            gold, guided, our_gold, our_guided = pairs
            text = difference(gold, our_gold, within) or difference(guided, our_guided, within)
            count += 1
            found += [f"{name!r}: {text}"] if text else []
    encodings.free()
    return RerunOutcome(count, len(found), next(iter(found), ""), job.train is not None)
