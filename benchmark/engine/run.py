"""Runs a plan: expands it to cells, leaves out what is stored already, and works through the rest group by group."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ...core.errors import NoSplit
from ...core.registry import Spec
from ..store.key import cell_key
from ..store.results import Results
from ..store.store import Store
from . import resolve
from .jobs import Job, JobGroup, finished, folder_name
from .model_handle import ModelHandle
from .plan import Plan, as_mapping
from .progress import Progress


def run(plan: Plan | None = None, *, quiet: bool = True, **fields: Any) -> Results:
    """Runs a plan, or one made of fields: `run(tasks="sva/obj", methods=["attention"], limit=50)`.

    What the store has already is not computed again; fields override the plan's.

    Raises:
        UsageError: Unknown names, unreadable files, a store that cannot be written; before anything is computed.
    """
    plan = resolve.check_names(Plan.make(**{**(dict(plan) if plan else {}), **fields}))
    store = Store(plan.store)
    store.check_writable()
    drawn = [resolve.draw(plan, spec) for spec in plan.tasks]
    metrics = resolve.make_metrics(plan.metrics)
    methods = resolve.make_methods(plan, metrics)
    models: dict[str, ModelHandle] = {}
    for one in drawn:
        name = resolve.model_of(plan, one.task)
        models.setdefault(name, ModelHandle(name, plan.store, plan.dtype, plan.device, plan.revision, quiet, plan.data_dir))
    groups = [_group(plan, store, one, methods, metrics, models[resolve.model_of(plan, one.task)]) for one in drawn]
    if any(not finished(job, group, metrics) for group in groups for job in group.jobs):
        _work(plan, groups, metrics, quiet)
    return Results(plan.store, tuple(job.record for group in groups for job in group.jobs if job.record is not None))


def _group(
    plan: Plan,
    store: Store,
    drawn: resolve.TaskSample,
    methods: Sequence[tuple[Spec, Any]],
    metrics: Sequence[Any],
    model: ModelHandle,
) -> JobGroup:
    train, why = _train_split(plan, drawn, [method for _, method in methods])
    group = JobGroup(model, drawn.task, drawn.key, drawn.instances, [])
    for spec, method in methods:
        trains = hasattr(method, "fit")
        for seed in plan.seeds if method.stochastic else (0,):
            key = cell_key(
                fingerprint=model.fingerprint(),
                dtype=plan.dtype,
                task=drawn.key,
                max_tokens=plan.max_tokens,
                on_split=plan.on_split,
                method=method,
                seed=seed,
                trained_on=train.key if trains and train else None,
            )
            cell = store.cell(model.shown, drawn.task.name, folder_name(method.name, key))
            asked = {
                "model": model.name,
                "revision": plan.revision,
                "task": as_mapping(drawn.spec),
                "columns": plan.columns,
                "method": as_mapping(spec),
            }
            job = Job(cell, key, method, method.name, seed, cell.record(), asked, unfit=why if trains else "")
            job.train = train if trains else None
            group.jobs.append(job)
    for metric in metrics:
        group.refer(metric, resolve.reference_job(metric, group.jobs))
    return group


def _train_split(plan: Plan, drawn: resolve.TaskSample, methods: Sequence[Any]) -> tuple[resolve.TaskSample | None, str]:
    """What methods are trained on, if any is; or why there is nothing to train on."""
    if not any(hasattr(method, "fit") for method in methods):
        return None, ""
    try:
        return resolve.draw_train(plan, drawn), ""
    except NoSplit as error:
        return None, f"it is trained first, and there is nothing to train it on: {error}"


def _work(plan: Plan, groups: Sequence[JobGroup], metrics: Sequence[Any], quiet: bool) -> None:
    """Encodes every task before anything is explained, so that a bad sentence stops the run at once."""
    from .prepared import encode_group
    from .trained_weights import TrainedWeights
    from .worker import work

    opened = [(group, jobs) for group in groups if (jobs := [job for job in group.jobs if not finished(job, group, metrics)])]
    ready = [
        (group, jobs, encode_group(group, metrics, plan.batch_size, plan.max_tokens, plan.on_split)) for group, jobs in opened
    ]
    fits = TrainedWeights(plan.store, quiet)
    with Progress(sum(len(jobs) * (len(encodings) + len(metrics)) for _, jobs, encodings in ready), quiet) as progress:
        for group, jobs, encodings in ready:
            work(group, jobs, metrics, encodings, progress, fits)
