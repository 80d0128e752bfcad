"""The cells of one run: what has to be done for each of them, and what is stored already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ...methods.registry import METHODS
from ...tasks.instance import Instance
from ..loading.model_defaults import for_model
from ..loading.model_handle import ModelHandle
from ..store.damage import find_damage
from ..store.key import TaskKey, method_key, metric_id
from ..store.record import EXPLAINED, FINAL, Record, Score
from ..store.renewal import is_old, renewed, renewed_score
from ..store.results import RunRecords
from ..store.store import Cell, Store


@dataclass(eq=False)
class Job:
    """One cell that a run explains and scores.

    Attributes:
        cell: The folder that it is stored in.
        key: Its identity.
        method: The method that explains; None where only stored explanations are scored.
        name: The method's name.
        seed: The seed of the method's draws, 0 for methods that do not draw.
        record: What was stored before; None where nothing was.
        request: Model, task, columns and method in the words of the user; records keep it as `asked`.
        training_sample: The instances that the method is trained on; None for methods that are not trained.
        reference_only: Whether it is here only because a metric's budget is matched to it.
        not_applicable: Why the method cannot explain these instances; empty while it can.
        error: Why the cell failed; empty while it has not.
        scores: New scores by metric identity.
    """

    cell: Cell
    key: dict[str, Any]
    method: Any
    name: str
    seed: int
    record: Record | None
    request: dict[str, Any]
    training_sample: Any = None
    reference_only: bool = False
    not_applicable: str = ""
    error: str = ""
    scores: dict[str, Score] = field(default_factory=dict)

    @classmethod
    def of_record(cls, store: Store, record: Record, method: Any = None) -> Job:
        """The job of a stored cell.

        Args:
            store: Where the cell is.
            record: The cell's record.
            method: The method, if instances are to be explained again; without one only what is stored can be scored.
        """
        return cls(
            cell=store.find(record),
            key=record.key,
            method=method,
            name=record.method,
            seed=record.seed or 0,
            record=record,
            request=record.asked,
            reference_only=record.reference_only,
        )

    @property
    def explained(self) -> bool:
        """Whether its record says that all its explanations are stored."""
        return self.record is not None and self.record.status in EXPLAINED

    @property
    def is_settled(self) -> bool:
        """Whether it failed or does not apply, so that nothing further is computed for it."""
        return bool(self.error or self.not_applicable)


@dataclass(eq=False)
class JobGroup:
    """The cells of one model, task and dtype, which run on the same batches.

    Attributes:
        model: The model that is explained; loaded when something is left to do.
        task: The task.
        key: Identity of the instances.
        instances: The task's instances.
        jobs: The cells.
        max_tokens: Longer sentences are left out; None: none are.
        on_split: Whether a word that is not one token stops the run or leaves the sentence out.
        references: The job whose budget each metric is matched to, by metric identity.
        prepared: The group's batches (`PreparedBatches`), where they were encoded before the group is executed.
    """

    model: ModelHandle
    task: Any
    key: TaskKey
    instances: tuple[Instance, ...]
    jobs: list[Job] = field(default_factory=list)
    max_tokens: int | None = None
    on_split: Literal["error", "skip"] = "error"
    references: dict[str, Job | None] = field(default_factory=dict)
    prepared: Any = None
    _of_model: dict[int, tuple[Any, Any]] = field(default_factory=dict, repr=False)

    def own(self, plugins: Sequence[Any]) -> tuple[Any, ...]:
        """Methods or metrics with the defaults of the group's model (`model_defaults`); each is built once."""
        for plugin in plugins:
            if id(plugin) not in self._of_model:
                self._of_model[id(plugin)] = (plugin, for_model(plugin, self.model.default_baseline()))
        return tuple(self._of_model[id(plugin)][1] for plugin in plugins)

    def match_budgets(self, metrics: Sequence[Any], others: Sequence[Job] = ()) -> None:
        """Notes the job whose budget each metric is matched to, among the group's jobs and `others`."""
        for metric in self.own(metrics):
            self.references[metric_id(metric)] = self.reference_job(metric, [*others, *self.jobs])

    def reference_job(self, metric: Any, jobs: Sequence[Job]) -> Job | None:
        """The job of the method whose budget a metric is matched to; None where it names no method or has no such job."""
        if not metric.reference:
            return None
        reference = method_key(for_model(METHODS.create(metric.reference), self.model.default_baseline()))
        return next((job for job in jobs if job.key["method"] == reference), None)


def finished(job: Job, group: JobGroup, metrics: Sequence[Any]) -> bool:
    """Whether nothing is left to do for a cell: it is final, has every score, and none of its files is damaged."""
    if job.record is None or job.record.status not in FINAL or (job.method is not None and find_damage(job.cell)):
        return False
    if job.record.status == "not-applicable":
        return True
    return all(_scored(job, metric_id(m), group.references.get(metric_id(m))) for m in group.own(metrics))


def _scored(job: Job, metric: str, reference: Job | None) -> bool:
    score = job.record.scores.get(metric) if job.record else None
    if score is None or score.status not in FINAL or score.reference != (reference.cell.folder if reference else ""):
        return False
    if score.status != "done":
        return True
    # What rows give is computed where it is read; what they do not give, only the metric can.
    return job.cell.read_score(metric) is not None and not is_old(renewed_score(job.cell, score))


def results_of(store: str, groups: Sequence[JobGroup]) -> RunRecords:
    """The records of all jobs that were asked for, in their order, with today's intervals.

    The cell of a reference that a run now names is no longer marked as one, so that tables show it.
    """
    jobs = [job for group in groups for job in group.jobs if job.record is not None and not job.reference_only]
    for job in jobs:
        if job.record is not None and job.record.reference_only:
            job.record = job.record.model_copy(update={"reference_only": False})
            job.cell.write_record(job.record)
    return RunRecords(store, tuple(renewed(job.cell, job.record) for job in jobs if job.record is not None))
