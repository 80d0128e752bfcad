"""Runs a bundle's methods on instances drawn with a secret seed, which a method tuned to published sentences cannot know."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from tempfile import TemporaryDirectory
from typing import Any

from ...core.errors import NotApplicable
from ...tasks.fingerprint import fingerprint
from ...tasks.instance import Instance
from ...tasks.sampling import balanced
from ..engine.execute import execute
from ..engine.jobs import Job, JobGroup
from ..store.key import TaskKey, folder_name, metric_id
from ..store.record import Record
from ..store.store import Store
from .explanation_difference import SecretSeedScores
from .named_plugins import job_of, method_of, metric_of
from .recompute_scores import ScoreRecomputer


@dataclass(eq=False)
class SecretSeedRun:
    """Explains and scores fresh instances with the methods, settings, seeds and metrics of a bundle's cells.

    Attributes:
        recomputer: Where the verifier has model and data.
        seed: The seed that the task draws its sentences with; secret until the check.
        count: Number of instances, balanced over conditions.
    """

    recomputer: ScoreRecomputer
    seed: int
    count: int

    def __call__(self, store: Store, records: Sequence[Record]) -> SecretSeedScores:
        """Score rows of cells of one question, on fresh instances.

        Args:
            store: The store of the cells.
            records: Their records, all of one model and the same instances.

        Raises:
            NotApplicable: The task's instances do not depend on a seed.
            FlowgaugeError: Another model or other instances than explained, or a metric that is not here.
        """
        published, _ = self.recomputer.encoded(store, records[0])
        chosen = self._instances(published, any("trained_on" in record.key for record in records))
        key = replace(published.key, fingerprint=fingerprint(chosen), limit=len(chosen), sample_seed=self.seed)
        group = replace(published, key=key, instances=chosen, jobs=[], references={})
        missing: dict[str, str] = {}
        with TemporaryDirectory() as folder:
            jobs = {record.cell: job for record, job in _jobs(records, published, key, store, Store(folder), missing)}
            metrics = _metrics([record for record in records if record.cell in jobs])
            group.jobs += jobs.values()
            group.match_budgets(metrics)
            if metrics:
                execute(folder, [group], metrics)
            rows = {(cell, name): frame for cell, job in jobs.items() for name, frame in _rows(job, metrics, missing, cell)}
        return SecretSeedScores(len(chosen), rows, missing)

    def _instances(self, published: JobGroup, trained: bool) -> tuple[Instance, ...]:
        """Instances that the task draws with the secret seed only; none of its train split if a method is trained."""
        task, key = published.task, published.key
        seen = _texts(published.instances) | _texts(task.instances(key.split, None, key.sample_seed))
        drawn = task.instances(key.split, None, self.seed)
        fresh = [instance for instance in drawn if not seen & _texts([instance])]
        if not fresh:
            raise NotApplicable(f"the instances of {task.name} do not depend on a seed, so that none are fresh.")
        if trained:
            seen = _texts(task.instances("train", None, key.sample_seed))
            fresh = [instance for instance in fresh if not seen & _texts([instance])]
        if not fresh:
            raise NotApplicable(
                f"methods were trained on all that {task.name} draws with the secret seed, so that none are fresh."
            )
        return balanced(fresh, self.count, self.seed)


def _texts(instances: Iterable[Instance]) -> set[Any]:
    return {(instance.segments, instance.answer) for instance in instances}


def _jobs(
    records: Sequence[Record], published: JobGroup, key: TaskKey, store: Store, scratch: Store, missing: dict[str, str]
) -> Iterator[tuple[Record, Job]]:
    """A job on the fresh instances for every cell whose method is here."""
    for record in records:
        try:
            job = job_of(published, record, method_of(record), store)
        except NotApplicable as reason:
            missing[record.cell] = str(reason)
            continue
        job.key = {**record.key, "task": {**record.key["task"], **_plain(key)}}
        job.cell, job.record = scratch.cell(record.model, record.task, folder_name(record.method, job.key)), None
        yield record, job


def _plain(key: TaskKey) -> dict[str, Any]:
    return {name: value for name, value in asdict(key).items() if name != "quantity"}


def _metrics(records: Sequence[Record]) -> list[Any]:
    """Metrics of the cells that score single instances; for others it is not known how much another sample may differ."""
    scores = {
        name: score for record in records for name, score in record.scores.items()
        if score.status == "done" and score.scope == "instance"
    }  # fmt: skip
    return [metric_of(score) for score in scores.values()]


def _rows(job: Job, metrics: Sequence[Any], missing: dict[str, str], cell: str) -> Iterator[tuple[str, Any]]:
    """A cell's rows by metric; the reason why a metric has none goes into `missing`."""
    for metric in metrics:
        name = metric_id(metric)
        score = job.record.scores.get(name) if job.record else None
        if score is not None and score.status == "done":
            yield name, job.cell.rows(name)
        elif cell not in missing:
            reason = (score.reason if score else "") or (job.record.error if job.record else "")
            missing[cell] = f"{name} has no scores on fresh instances: {reason}"
