"""Cells of one run: what is to be done, and what is done already. No torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ...tasks.instance import Instance
from ..store.key import TaskKey, metric_id, short_hash
from ..store.record import Record, Score
from ..store.store import Cell

FINAL = ("done", "not-applicable")


@dataclass(eq=False)
class Job:
    """One cell on its way.

    Attributes:
        cell: Where it is stored.
        key: Its identity.
        method: What explains; None where only stored explanations are scored.
        name: The method's name.
        seed: The cell's seed, 0 for methods that do not draw.
        record: What was stored before.
        error: Why it failed.
        unfit: Why the method is not applicable.
        scores: By metric identity, as they come.
        asked: What the user asked for, in the user's words.
        train: What the method is trained on, for methods that are trained.
    """

    cell: Cell
    key: dict[str, Any]
    method: Any
    name: str
    seed: int
    record: Record | None
    asked: dict[str, Any]
    error: str = ""
    unfit: str = ""
    scores: dict[str, Score] = field(default_factory=dict)
    train: Any = None

    @property
    def explained(self) -> bool:
        """Whether its record says that all its explanations are stored."""
        return self.record is not None and self.record.status in ("done", "partial")

    @property
    def stopped(self) -> bool:
        """Whether it failed or does not apply."""
        return bool(self.error or self.unfit)


@dataclass(eq=False)
class JobGroup:
    """Cells of one model, task and dtype, which run together.

    Attributes:
        model: What explains; loaded when something is left to do.
        task: The task.
        key: Which instances.
        instances: They.
        jobs: Its cells.
        references: The job whose budget each metric is matched to, by metric identity.
    """

    model: Any
    task: Any
    key: TaskKey
    instances: tuple[Instance, ...]
    jobs: list[Job]
    references: dict[str, Job | None] = field(default_factory=dict)

    def refer(self, metric: Any, job: Job | None) -> None:
        """Notes the reference job of a metric."""
        self.references[metric_id(metric)] = job


def finished(job: Job, group: JobGroup, metrics: Sequence[Any]) -> bool:
    """Whether nothing is left to do for a cell."""
    if job.record is None or job.record.status not in FINAL:
        return False
    if job.record.status == "not-applicable":
        return True
    return all(_scored(job, metric_id(m), group.references.get(metric_id(m))) for m in metrics)


def _scored(job: Job, metric: str, reference: Job | None) -> bool:
    score = job.record.scores.get(metric) if job.record else None
    if score is None or score.status not in FINAL or score.reference != (reference.cell.folder if reference else ""):
        return False
    return score.status != "done" or job.cell.read_score(metric) is not None


def folder_name(method: str, key: dict[str, Any]) -> str:
    """`<method>-<12 hex>`."""
    return f"{method}-{short_hash(key)}"
