"""Runs the methods of a bundle's cells again, so that a verifier can compare the stored explanations with new ones."""

from __future__ import annotations

from dataclasses import dataclass
from tempfile import TemporaryDirectory

from ...core.errors import FlowgaugeError, NotApplicable
from ..engine.explain import explain_batch
from ..engine.jobs import Job
from ..engine.method_trainer import MethodTrainer
from ..engine.prepared import PreparedBatches
from ..loading.trained_weights import TrainedWeights
from ..store.record import Record
from ..store.store import Store
from .explanation_difference import RerunOutcome, difference, tolerance
from .named_plugins import job_of, method_of
from .recompute_scores import ScoreRecomputer, sampled


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
            return _compare(job, record, sampled(batches, sample, self.recomputer.seed_of(record)), trainer)


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
