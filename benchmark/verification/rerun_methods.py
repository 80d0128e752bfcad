"""Runs the methods of a bundle's cells again, so that a verifier can compare the stored explanations with new ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Any

from ...core.errors import FlowgaugeError, NotApplicable
from ..engine.explain import explain_batch
from ..engine.jobs import Job, JobGroup
from ..engine.method_trainer import MethodTrainer
from ..engine.plan import Plan
from ..engine.prepared import PreparedBatches
from ..engine.resolve import TaskSample, draw_train
from ..loading.trained_weights import TrainedWeights
from ..store.record import Record
from ..store.store import Store
from .explanation_difference import RerunOutcome, difference, tolerance
from .recompute_scores import ScoreRecomputer, method_of, sampled


@dataclass(frozen=True, eq=False)
class MethodRerunner:
    """Explains a seeded sample of a cell's instances again, with the record's settings and seed.

    Methods that are trained are trained again: weights that come with a bundle do not show how they were trained.

    Attributes:
        recomputer: Where the verifier has model and data, and the seed of the sample.
    """

    recomputer: ScoreRecomputer

    def __call__(self, store: Store, record: Record, sample: int) -> RerunOutcome:
        """Compares stored explanations of gold and predicted answers with those that are computed here.

        Args:
            store: The store of the cell.
            record: The cell's record.
            sample: How many instances to explain.

        Raises:
            NotApplicable: The method cannot be run here, with the reason; or the cell has no explanations.
            FlowgaugeError: Another model or other instances than explained, or the method fails here.
        """
        if record.status != "done":
            raise NotApplicable(f"it has no explanations: {record.error}")
        method = method_of(record)
        group, batches = self.recomputer.encoded(store, record)
        job = job_of(group, record, method, store)
        with TemporaryDirectory() as folder:
            trainer = MethodTrainer(TrainedWeights(folder), batches.model, batches.labels)
            return _compare(job, record, sampled(batches, sample, self.recomputer.seed), trainer)


def job_of(group: JobGroup, record: Record, method: Any, store: Store) -> Job:
    """A stored cell's job with its method, and with the instances that the method is trained on.

    Args:
        group: The cells of its question, on the verifier's model and task.
        record: The cell's record.
        method: The method that explains.
        store: The store of the cell.

    Raises:
        FlowgaugeError: The method is trained, and the task's train split is another here or the record says otherwise.
    """
    job = Job.of_record(store, record, method)
    if hasattr(method, "fit") != ("trained_on" in record.key):
        raise FlowgaugeError(
            f"{record.method} is{'' if hasattr(method, 'fit') else ' not'} trained first, and its record says otherwise."
        )
    if hasattr(method, "fit"):
        trained_on, key = record.key["trained_on"], group.key
        # Another seed may draw what the method explains into its training split.
        if not isinstance(trained_on, Mapping) or trained_on.get("sample_seed") != key.sample_seed:
            raise FlowgaugeError(f"{record.method} was trained on another draw than the one whose instances it explains.")
        plan = Plan.make(
            tasks=record.asked["task"],
            split=key.split,
            limit=key.limit,
            sample_seed=key.sample_seed,
            fit_limit=trained_on.get("limit"),
        )
        job.training_sample = draw_train(plan, TaskSample(plan.tasks[0], group.task, key, group.instances))
        if job.training_sample.key.fingerprint != trained_on.get("fingerprint"):
            raise FlowgaugeError(f"{record.method} was trained on other instances than the train split has here.")
    return job


def _compare(job: Job, record: Record, batches: PreparedBatches, trainer: MethodTrainer) -> RerunOutcome:
    within, count, differences = tolerance(str(record.key["dtype"])), 0, list[str]()
    for index in range(len(batches)):
        prepared = batches(index)
        try:
            with batches.shared.lent_to(job.method):
                part = explain_batch(batches.model, trainer.ready(job), prepared, job.seed)
        except NotApplicable as reason:
            raise FlowgaugeError(f"here the method is not applicable: {reason}") from reason
        names = prepared.batch.names
        gold, predicted = job.cell.explanations(names)
        for row, name in enumerate(names):
            text = difference(gold[row], part.gold[row], within) or difference(predicted[row], part.predicted[row], within)
            differences += [f"{name!r}: {text}"] if text else []
        count += len(names)
    batches.free()
    return RerunOutcome(count, len(differences), next(iter(differences), ""), job.training_sample is not None)
