"""Scores stored explanations with other metrics; nothing is explained again."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ...core.errors import UsageError
from ...core.registry import Spec
from ...tasks.instance import Quantity
from ..store.key import TaskKey, question
from ..store.record import Record
from ..store.results import Results
from ..store.store import Store
from . import resolve
from .jobs import Job, JobGroup, finished
from .model_handle import ModelHandle, check_model
from .plan import Plan
from .prepared import encode_group
from .progress import Progress
from .trained_weights import TrainedWeights
from .worker import work


def rescore(
    url: str,
    metrics: Sequence[str],
    *,
    model: str | None = None,
    data_dir: str | None = None,
    device: str = "auto",
    batch_size: int | None = None,
    quiet: bool = True,
) -> Results:
    """Adds metrics to every explained cell of a store.

    Args:
        url: The store.
        metrics: Names or `file.py[:name]`, with settings after a colon.
        model: Where the model is now, if not where it was when the store was written.
        data_dir: Where the tasks' published data is now, likewise.
        device: A torch device.
        batch_size: Instances a batch; None: 32, fewer for long sentences.
        quiet: Shows no progress bar.

    Raises:
        UsageError: Unknown metrics, no such store, a model or task that is not the one that was explained.
    """
    specs = [Spec.parse(text) for text in metrics]
    if not specs:
        raise UsageError("name at least one metric to score with.")
    resolve.check_metrics(specs)
    store = Store(url)
    records = [r for r in store.records() if r.status in ("done", "partial")]
    if not records:
        raise UsageError(f"the store {url!r} has no explained cells.")
    made = resolve.make_metrics(specs)
    groups: list[JobGroup] = []
    for together in _groups(records):
        group = regroup(store, together, model, data_dir, device, quiet)
        for metric in made:
            group.refer(metric, resolve.reference_job(metric, group.jobs))
        groups.append(group)
        _work(store, group, made, batch_size, quiet)
    return Results(url, tuple(job.record for group in groups for job in group.jobs if job.record is not None))


def _groups(records: Sequence[Record]) -> list[list[Record]]:
    """Records of the same model, dtype and instances."""
    found: dict[str, list[Record]] = {}
    for record in records:
        found.setdefault(json.dumps([record.model, question(record.key)], sort_keys=True), []).append(record)
    return list(found.values())


def regroup(
    store: Store, records: Sequence[Record], model: str | None, data_dir: str | None, device: str, quiet: bool
) -> JobGroup:
    """Stored cells of one question as a group again.

    Raises:
        UsageError: Another model or other instances than explained.
    """
    first = records[0]
    name = model or first.asked["model"]
    check_model(name)
    wanted = ModelHandle(name, store.url, first.key["dtype"], device, first.asked["revision"], quiet, data_dir)
    if wanted.fingerprint() != first.key["fingerprint"]:
        hint = "its files differ; say where the right one is with --model."
        raise UsageError(f"model {name!r} is not the one that {first.task} was explained with: {hint}")
    stored = first.key["task"]
    plan = Plan.make(
        tasks=first.asked["task"],
        columns=first.asked["columns"],
        split=stored["split"],
        limit=stored["limit"],
        sample_seed=stored["sample_seed"],
    )
    drawn = resolve.draw(plan, resolve.with_data(plan.tasks[0], data_dir, replace=True))
    if drawn.key.fingerprint != stored["fingerprint"]:
        raise UsageError(f"task {first.task!r} has other instances now than those explained in {store.url!r}.")
    jobs = [Job(store.find(r), r.key, None, r.method, r.seed or 0, r, r.asked) for r in records]
    return JobGroup(wanted, drawn.task, _task_key(stored), drawn.instances, jobs)


def _task_key(stored: Mapping[str, Any]) -> TaskKey:
    return TaskKey(**{**stored, "quantity": Quantity(**stored["quantity"])})


def _work(store: Store, group: JobGroup, metrics: Sequence[Any], batch_size: int | None, quiet: bool) -> None:
    jobs = [job for job in group.jobs if not finished(job, group, metrics)]
    if not jobs:
        return
    key = jobs[0].key
    encodings = encode_group(group, metrics, batch_size, key["max_tokens"], key["on_split"])
    if jobs[0].record:
        encodings.model.name = jobs[0].record.model
    with Progress(len(jobs) * (len(encodings) + len(metrics)), quiet) as progress:
        work(group, jobs, metrics, encodings, progress, TrainedWeights(store.url, quiet))
