"""Runs a plan: resolves its names, opens its cells, explains and scores those that are not stored yet, and reports."""

from __future__ import annotations

import logging
import os
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from ...core.errors import FlowgaugeError, UsageError
from ...models.memory import memory_bytes, within_memory
from ..loading.asked_views import without_unread_views
from ..loading.model_handle import ModelHandle
from ..run_logs import run_log
from ..sharing.messages import Message, Tell, ToldProgress, WorkerTask
from ..store.key import cell_key, folder_name, method_key
from ..store.record import EXPLAINED, Record
from ..store.results import RunRecords
from ..store.store import Store
from .execute import execute
from .jobs import Job, JobGroup, finished, results_of
from .plan import Plan, as_mapping, request_of
from .resolve import ResolvedPlan, TaskSample, draw_train, resolve


def run(
    plan: Plan | None = None,
    *,
    quiet: bool = True,
    log: str | None = None,
    workers: int | None = None,
    devices: Sequence[str] = (),
    executor: str | None = None,
    **fields: Any,
) -> RunRecords:
    """Runs a plan, or one built from fields: `run(tasks="sva/obj", methods=["attention"], limit=50)`.

    What the store has already is not computed again.

    Args:
        plan: What to run; None: what the fields say.
        quiet: Shows no progress bar.
        log: A tracker that gets the scores of every cell as it is finished: `trackio` or `mlflow` (`benchmark.run_logs`).
        workers: Processes that share the work, each with the plan's memory budget to itself; None: one a device, else this
            process alone. A script that asks for several must run under `if __name__ == "__main__":`.
        devices: Torch devices that workers are given in turn; none: the plan's.
        executor: Where workers are: `local`, on this machine, or `ray`, on a Ray cluster; None: `local`, where there are any.
        fields: Fields of a plan; they override the plan's.

    Returns:
        The records of all cells of the plan, also of those that were stored before.

    Raises:
        UsageError: Unknown names, unreadable files, a store that cannot be written; before anything is computed.
    """
    report = run_log(log) if log else None
    devices = (devices,) if isinstance(devices, str) else devices
    resolved = resolve(Plan.make(**{**(dict(plan) if plan else {}), **fields}), quiet)
    groups, store = open_groups(resolved), resolved.plan.store
    if executor is not None or devices or workers not in (None, 1):
        from ..sharing.spread import spread

        if all(finished(job, group, resolved.metrics) for group in groups for job in group.jobs):
            return results_of(store, groups)

        spread(work_on, resolved.plan, executor=executor or "local", workers=workers, devices=devices, quiet=quiet, report=report)
        groups = open_groups(resolved)
        if lacking := [job.cell.path for group in groups for job in group.jobs if job.record is None]:
            raise FlowgaugeError(
                f"the workers have ended, and {len(lacking)} cells are not in {store!r}, such as {lacking[0]}: name a store that "
                "every worker reaches, a bucket or a shared folder, and run the same command again."
            )
        return results_of(store, groups)
    with within_memory(memory_bytes(resolved.plan.memory)):
        execute(store, groups, resolved.metrics, batch_size=resolved.plan.batch_size, quiet=quiet, report=report)
    return results_of(store, groups)


def planned_records(plan: Plan) -> tuple[Record, ...]:
    """The records of all cells of a plan, with those that a budget is matched to, read from its store; nothing is computed.

    Args:
        plan: The plan, with the store that it was run into.

    Raises:
        UsageError: A cell or one of its scores is not there, or failed.
    """
    resolved = resolve(plan, read_only=True)
    groups = open_groups(resolved, read_only=True)
    lacking = [job.cell.path for group in groups for job in group.jobs if not finished(job, group, resolved.metrics)]
    if lacking:
        raise UsageError(
            f"{len(lacking)} cells of the plan are not finished in {plan.store!r}, such as {lacking[0]}: "
            f"`flowgauge run PLAN --store {plan.store}` goes on with them."
        )
    return tuple(job.record for group in groups for job in group.jobs if job.record is not None)


def work_on(task: WorkerTask, tell: Tell) -> None:
    """Works through a plan as one of several workers, until everything is stored; what goes wrong is told, not raised.

    Args:
        task: The plan and this worker's part in it.
        tell: Takes messages for whoever started the worker.
    """
    import torch

    torch.set_num_threads(task.threads)
    plan: Plan = task.plan.model_copy(update={"device": task.device}) if task.device else task.plan
    try:
        with suppress(OSError):  # another machine may not have it, and a plan of names alone does not need it
            os.chdir(task.folder)
        with _without_warnings():  # whoever starts workers has resolved the plan, and warned
            resolved = resolve(plan)
            groups = open_groups(resolved)
        with within_memory(memory_bytes(plan.memory)):
            execute(
                plan.store, groups, resolved.metrics, batch_size=plan.batch_size, turn=task.turn,
                report=lambda record: tell(Message("record", record.model_dump_json())),
                show=lambda total, _: ToldProgress(total, tell),
            )  # fmt: skip
    except UsageError as error:
        tell(Message("refused", str(error)))
    except FlowgaugeError as error:
        tell(Message("failed", str(error)))
    except Exception as error:
        tell(Message("failed", f"{type(error).__name__}: {error}\n{traceback.format_exc()}"))
    else:
        tell(Message("end"))


@contextmanager
def _without_warnings() -> Iterator[None]:
    """Keeps flowgauge's own log to errors inside the block."""
    log = logging.getLogger("flowgauge")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        yield
    finally:
        log.setLevel(level)


def open_groups(resolved: ResolvedPlan, read_only: bool = False) -> list[JobGroup]:
    """The plan's cells, one group a task, with what the store has of each.

    Args:
        resolved: The plan.
        read_only: Whether the store is only looked at, and need not be there.

    Raises:
        UsageError: The store cannot be written.
    """
    store = Store(resolved.plan.store)
    if not read_only:
        store.files.check_writable()
        store.files.sweep(store.files.root)
    return [_open_group(store, resolved, *task) for task in zip(resolved.tasks, resolved.models, strict=True)]


def _open_group(store: Store, resolved: ResolvedPlan, sample: TaskSample, model: ModelHandle) -> JobGroup:
    plan = resolved.plan
    group = JobGroup(model, sample.task, sample.key, sample.instances, max_tokens=plan.max_tokens, on_split=plan.on_split)
    is_any_trained = any(hasattr(method, "fit") for _, method in resolved.methods)
    training_sample, no_training = draw_train(plan, sample) if is_any_trained else (None, "")
    shown, fingerprint = model.shown, model.fingerprint()  # each looks at installed packages or files
    opened: dict[str, None] = {}
    methods = [(spec, *group.own([named])) for spec, named in resolved.methods]
    smallest = [without_unread_views(whole, resolved.metrics) for _, whole in methods]
    asked = [method_key(whole) for (_, whole), smaller in zip(methods, smallest, strict=True) if smaller is whole]
    for (spec, whole), smaller in zip(methods, smallest, strict=True):
        smaller = whole if method_key(whole) in asked else smaller  # so that a second run, or a worker, opens the same cells
        is_trained = hasattr(whole, "fit")
        choices = [
            (method, cell_key(
                fingerprint=fingerprint, dtype=plan.dtype, task=sample.key, max_tokens=plan.max_tokens, on_split=plan.on_split,
                method=method, seed=0, trained_on=training_sample.key if is_trained and training_sample else None,
            ))
            for method in ([whole] if smaller is whole else [whole, smaller])
        ]  # fmt: skip
        for seed in plan.seeds if whole.stochastic else (0,):
            for method, first in choices:  # a stored cell with all views has what the smaller one would have
                key = {**first, "seed": seed} if method.stochastic else first  # a plan may have a hundred thousand seeds
                cell = store.cell(shown, sample.task.name, folder_name(method.name, key))
                if (record := cell.record()) is not None and record.status in EXPLAINED:
                    break
            if cell.folder in opened:
                continue  # named twice, with the model's default and without
            opened[cell.folder] = None
            job = Job(
                cell=cell, key=key, method=method, name=method.name, seed=seed, record=record,
                request=request_of(plan, model.name, sample.spec, as_mapping(spec)),
                training_sample=training_sample if is_trained else None, reference_only=spec not in plan.methods,
                not_applicable=no_training if is_trained else "",
            )  # fmt: skip
            group.jobs.append(job)
    group.match_budgets(resolved.metrics)
    return group
