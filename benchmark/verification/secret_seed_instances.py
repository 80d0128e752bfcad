"""Runs a bundle's methods on instances regenerated from a secret seed: what a method tuned to published sentences cannot know."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from tempfile import TemporaryDirectory
from typing import Any

from ...core.errors import NotApplicable
from ...tasks.fingerprint import fingerprint
from ...tasks.instance import Instance
from ...tasks.sampling import balanced
from ..engine import resolve
from ..engine.jobs import Job, JobGroup, folder_name
from ..engine.prepared import encode_group
from ..engine.progress import Progress
from ..engine.trained_weights import TrainedWeights
from ..engine.worker import work
from ..store.key import TaskKey, metric_id
from ..store.record import Record
from ..store.store import Store
from .explanation_difference import SecretSeedScores
from .recompute_scores import ScoreRecomputer, method_of, metric_of
from .rerun_methods import job_of


@dataclass(eq=False)
class SecretSeedRun:
    """Explains and scores fresh instances with the methods, settings, seeds and metrics of a bundle's cells.

    Attributes:
        recheck: Where the verifier has model and data.
        seed: What the task draws its sentences with; secret until now.
        count: Instances, balanced over conditions.
    """

    recheck: ScoreRecomputer
    seed: int
    count: int

    def __call__(self, store: Store, records: Sequence[Record]) -> SecretSeedScores:
        """Score rows of cells that were asked the same question, on fresh instances.

        Raises:
            NotApplicable: The task's instances do not depend on a seed.
            FlowgaugeError: Another model or other instances than explained, or a metric that is not here.
        """
        asked, _ = self.recheck.encoded(store, records[0])
        chosen = self._instances(asked, any("trained_on" in record.key for record in records))
        missing: dict[str, str] = {}
        with TemporaryDirectory() as folder:
            scratch = Store(folder)
            key = replace(asked.key, fingerprint=fingerprint(chosen), limit=len(chosen), sample_seed=self.seed)
            jobs = {record.cell: job for record, job in _jobs(records, asked, key, store, scratch, missing)}
            metrics = _metrics([record for record in records if record.cell in jobs])
            group = JobGroup(asked.model, asked.task, key, chosen, list(jobs.values()))
            if metrics:
                _work(group, metrics, records[0], folder)
            rows = {(cell, name): frame for cell, job in jobs.items() for name, frame in _rows(job, metrics, missing, cell)}
        return SecretSeedScores(len(chosen), rows, missing)

    def _instances(self, asked: JobGroup, trained: bool) -> tuple[Instance, ...]:
        """What the task draws with the secret seed and not with the published one; if a method is trained, none of train."""
        task, key = asked.task, asked.key
        known = _texts(asked.instances) | _texts(task.instances(key.split, None, key.sample_seed))
        drawn = task.instances(key.split, None, self.seed)
        fresh = [one for one in drawn if not known & _texts([one])]
        if not fresh:
            raise NotApplicable(f"the instances of {task.name} do not depend on a seed, so that none are fresh.")
        if trained:
            known = _texts(task.instances("train", None, key.sample_seed))
            fresh = [one for one in fresh if not known & _texts([one])]
        if not fresh:
            raise NotApplicable(
                f"methods were trained on all that {task.name} draws with the secret seed, so that none are fresh."
            )
        return balanced(fresh, self.count, self.seed)


def _texts(instances: Iterable[Instance]) -> set[Any]:
    return {(one.segments, one.answer) for one in instances}


def _jobs(
    records: Sequence[Record], asked: JobGroup, key: TaskKey, store: Store, scratch: Store, missing: dict[str, str]
) -> Iterator[tuple[Record, Job]]:
    """A job on the fresh instances for every cell whose method is here."""
    for record in records:
        try:
            job = job_of(asked, record, method_of(record), store)
        except NotApplicable as reason:
            missing[record.cell] = str(reason)
            continue
        job.key = {**record.key, "task": {**record.key["task"], **_plain(key)}}
        job.cell, job.record = scratch.cell(record.model, record.task, folder_name(record.method, job.key)), None
        yield record, job


def _plain(key: TaskKey) -> dict[str, Any]:
    return {name: value for name, value in asdict(key).items() if name != "quantity"}


def _metrics(records: Sequence[Record]) -> list[Any]:
    """Metrics with one score an instance that any of the cells has; of others it cannot be said what sampling explains."""
    scores = {
        name: score for record in records for name, score in record.scores.items()
        if score.status == "done" and score.scope == "instance"
    }  # fmt: skip
    return [metric_of(score) for score in scores.values()]


def _work(group: JobGroup, metrics: Sequence[Any], first: Record, folder: str) -> None:
    for metric in metrics:
        group.refer(metric, resolve.reference_job(metric, group.jobs))
    encodings = encode_group(group, metrics, None, first.key["max_tokens"], first.key["on_split"])
    with Progress(0, True) as progress:
        work(group, group.jobs, metrics, encodings, progress, TrainedWeights(folder))


def _rows(job: Job, metrics: Sequence[Any], missing: dict[str, str], cell: str) -> Iterator[tuple[str, Any]]:
    """Rows of each metric; why there are none is noted."""
    for metric in metrics:
        name = metric_id(metric)
        score = job.record.scores.get(name) if job.record else None
        if score is not None and score.status == "done":
            yield name, job.cell.rows(name)
        elif cell not in missing:
            reason = (score.reason if score else "") or (job.record.error if job.record else "")
            missing[cell] = f"{name} has no scores on fresh instances: {reason}"
