"""Recomputes scores from stored explanations without storing them, so that a verifier can compare them with a submission."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from ...core.errors import FlowgaugeError, NotApplicable, shortened
from ...methods.explanation import Explanation
from ...metrics.scores import Scores
from ...metrics.summary import summarise
from ..engine.jobs import Job, JobGroup
from ..engine.method_trainer import MethodTrainer
from ..engine.prepared import PreparedBatches, encode_group
from ..engine.rescore import regroup
from ..engine.scoring import ExplainedBatches, compute, declared_score, explainer, ranked
from ..loading.trained_weights import TrainedWeights
from ..store.key import canonical, question
from ..store.record import Record, Score
from ..store.store import Store
from .cell_check import check_declaration, check_explained, check_inputs, check_question, why_not_applicable
from .fetched_models import refuse_fetching
from .named_plugins import identity_note, job_of, method_of, metric_of, task_of

Explain = Callable[..., list[Explanation]]


@dataclass(eq=False)
class ScoreRecomputer:
    """Recomputes what a bundle says of its cells, and rows of a metric for a seeded sample of a cell's instances.

    Attributes:
        model: Where the verifier has the model; None: where the record says.
        data_dir: Where the verifier has published data.
        device: A torch device.
        seed: Of the samples, which differ from cell to cell and from metric to metric; random, so that no submitter knows it.
        task_files: The verifier's copies of task files that a bundle may name.
    """

    model: str | None = None
    data_dir: str | None = None
    device: str = "auto"
    seed: int = field(default_factory=lambda: secrets.randbits(32))
    task_files: tuple[str, ...] = ()
    _groups: dict[str, tuple[JobGroup, PreparedBatches]] = field(default_factory=dict)
    _jobs_of: tuple[str, str] = ("", "")

    def check_cell(self, store: Store, record: Record) -> str:
        """Checks what a cell says of model, task, method and instances, and asks again whether its method is applicable.

        Args:
            store: The store of the cell.
            record: The cell's record.

        Returns:
            A note where it has the name of one of flowgauge's methods and is another version of it or other code; else empty.

        Raises:
            NotApplicable: It says that its method is not applicable, and the method cannot be run here.
            FlowgaugeError: It says something else than is true here.
        """
        group, batches = self.encoded(store, record)
        check_question(record, group, self.model)
        check_inputs(record, batches)
        if record.status == "not-applicable":
            job = job_of(group, record, method_of(record), store)
            with TemporaryDirectory() as folder:
                reason = why_not_applicable(job, batches, MethodTrainer(TrainedWeights(folder), batches.model, batches.labels))
            if reason != record.error:
                raise FlowgaugeError(
                    f"it says {record.error[:200]!r}; here its method {f'says {reason!r}' if reason else 'applies'}."
                )
            return ""
        check_explained(job_in(group, record), batches)
        return identity_note(record)

    def __call__(self, store: Store, record: Record, metric: str, sample: int) -> Scores:
        """A metric's scores as they are computed here.

        Args:
            store: The store of the cell.
            record: The cell's record.
            metric: Identity of the metric.
            sample: How many instances to score; a metric that pools instances scores all of them.

        Raises:
            NotApplicable: The metric is not applicable here.
            FlowgaugeError: Another model or other instances than explained, a metric or reference that is not here, or a score
                that says something else of its metric than the metric does.
        """
        score = record.scores[metric]
        scorer = metric_of(score)
        group, batches = self.encoded(store, record)
        if score.scope == "instance" and not getattr(scorer, "pools", False):
            batches = sampled(batches, sample, self.seed_of(record, metric))
        budget = _budget(score, scorer, group)
        declared = declared_score(scorer, score.reference)

        def scores(explain: Explain | None) -> Scores:
            def show(job: Job) -> ExplainedBatches:
                return ExplainedBatches(job.cell, batches, explain if job.cell.folder == record.folder else None)

            with batches.shared.lent_to(scorer):
                return compute(scorer, batches.model, show(job_in(group, record)), budget, show)

        if score.status == "not-applicable":
            check_declaration(score, declared)
            try:  # it may have been scored from stored explanations alone
                return scores(None)
            except NotApplicable as reason:
                if shortened(str(reason)) == score.reason:
                    raise
        recomputed = scores(self._explainer(store, record, group, batches))
        aggregates = recomputed.aggregates or summarise(recomputed.rows, score.bounds)
        check_declaration(score, declared.model_copy(update={"ranked": ranked(scorer, aggregates)}))
        return recomputed

    def seed_of(self, record: Record, metric: str = "") -> int:
        """Seed of the sample of a cell, for one of its metrics or for running its method again."""
        return int.from_bytes(hashlib.sha256(canonical([self.seed, record.cell, metric]).encode()).digest()[:8])

    def encoded(self, store: Store, record: Record) -> tuple[JobGroup, PreparedBatches]:
        """The cells of a record's question and their batches, on the verifier's model and task; encoded once a question.

        Raises:
            FlowgaugeError: Another model or other instances than explained, a file of the submitter's.
        """
        asked = {name: record.asked.get(name) for name in ("model", "revision", "task", "columns")}
        name = canonical([record.model, question(record.key), asked])
        if name not in self._groups:
            self._groups.clear()  # one question at a time: batches and models take memory
            task = task_of(record, self.task_files, self.model, self.data_dir)
            refuse_fetching(record, self.model)
            group = regroup(store, [record], model=self.model, data_dir=self.data_dir, task=task, device=self.device)
            self._groups[name] = (group, encode_group(group))
        group, batches = self._groups[name]
        if self._jobs_of != (store.url, name):
            same = [r for r in store.records() if r.model == record.model and question(r.key) == question(record.key)]
            group.jobs[:] = [Job.of_record(store, other) for other in same]
            self._jobs_of = (store.url, name)
        return group, batches

    def _explainer(self, store: Store, record: Record, group: JobGroup, batches: PreparedBatches) -> Explain | None:
        """Explains changed inputs, for metrics that need it, with the bundle's weights; None where the method is not here."""
        try:
            method = method_of(record)
        except NotApplicable:
            return None

        @cache
        def ready() -> Any:
            trainer = MethodTrainer(TrainedWeights(store.url), batches.model, batches.labels)
            return trainer.ready(job_of(group, record, method, store))

        return explainer(method, batches.model, record.seed or 0, ready)


def job_in(group: JobGroup, record: Record) -> Job:
    """A record's job among those of its group."""
    return next(job for job in group.jobs if job.cell.folder == record.folder)


def _budget(score: Score, metric: Any, group: JobGroup) -> Job | None:
    """The cell whose budget a score is matched to.

    Raises:
        FlowgaugeError: The score names another cell than that of the metric's reference.
    """
    if score.reference and not any(job.cell.folder == score.reference for job in group.jobs):
        raise FlowgaugeError(f"the cell {score.reference} that its budget is matched to is not there.")
    budget = group.reference_job(metric, group.jobs)
    if score.reference != (budget.cell.folder if budget else ""):
        raise FlowgaugeError(f"its budget is matched to {score.reference or 'nothing'}, expected a cell of {metric.reference}.")
    return budget


def sampled(batches: PreparedBatches, sample: int, seed: int) -> PreparedBatches:
    """A seeded sample of the instances of batches, each in the batch that it was in.

    Args:
        batches: The batches.
        sample: How many instances to draw, without replacement; all where there are no more.
        seed: Seed of the draw.
    """
    encoded = batches.encoded
    rows = [(index, row) for index, batch in enumerate(encoded.batches) for row in range(len(batch))]
    if sample >= len(rows):
        return batches
    chosen = sorted(np.random.default_rng(seed).choice(len(rows), sample, replace=False).tolist())
    kept, instances = [], []
    for index, batch in enumerate(encoded.batches):
        chosen_rows = [rows[i][1] for i in chosen if rows[i][0] == index]
        if chosen_rows:
            kept.append(batch.rows(batch.ids.new_tensor(chosen_rows)))
            instances.append(tuple(encoded.instances[index][row] for row in chosen_rows))
    return PreparedBatches(batches.model, replace(encoded, batches=tuple(kept), instances=tuple(instances)), batches.labels)
