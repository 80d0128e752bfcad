"""Scores stored explanations with further metrics; nothing is explained again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...core.errors import UsageError
from ...core.registry import Spec
from ...models.memory import DEFAULT, memory_bytes, within_memory
from ...tasks.instance import Quantity
from ..loading.model_handle import ModelHandle, check_model
from ..store.key import TaskKey, canonical, question
from ..store.record import EXPLAINED, Record
from ..store.renewal import renew
from ..store.results import RunRecords
from ..store.store import Store
from .execute import execute
from .jobs import Job, JobGroup, results_of
from .plan import Plan, as_mapping
from .resolve import draw, make_metrics, with_data


def rescore(
    url: str,
    metrics: Sequence[str],
    *,
    model: str | None = None,
    data_dir: str | None = None,
    device: str = "auto",
    batch_size: int | None = None,
    memory: str = DEFAULT,
    quiet: bool = True,
) -> RunRecords:
    """Adds metrics to every explained cell of a store, after renewing intervals of version 0.1 (`benchmark.store.renewal`).

    Args:
        url: The store.
        metrics: Names or `file.py[:name]`, with settings after a colon.
        model: Where the model is now, if not where it was when the store was written.
        data_dir: Where the tasks' published data are now, if not where they were.
        device: A torch device.
        batch_size: Instances a batch; None: 32, fewer for long sentences.
        memory: What scoring may take at once above the loaded model.
        quiet: Shows no progress bar.

    Returns:
        The records of all explained cells, with their earlier scores and the new ones.

    Raises:
        UsageError: Unknown metrics, no such store, a model or task that is not the one that was explained.
    """
    specs = [Spec.parse(text) for text in metrics]
    if not specs:
        raise UsageError("name at least one metric to score with.")
    memory_bytes(memory)
    scorers = make_metrics(specs)
    store = Store(url)
    renew(url)
    explained = [record for record in store.records() if record.status in EXPLAINED]
    if not explained:
        raise UsageError(f"the store {url!r} has no explained cells: `flowgauge run --store {url}` explains some.")
    groups: list[JobGroup] = []
    for records in _by_question(explained):  # batches of one are dropped before the next are encoded
        group = regroup(store, records, model=model, data_dir=data_dir, device=device, quiet=quiet)
        group.model.display_name = records[0].model
        group.match_budgets(scorers)
        groups.append(group)
        with within_memory(memory_bytes(memory)):
            execute(url, [group], scorers, batch_size=batch_size, quiet=quiet)
    return results_of(url, groups)


def _by_question(records: Sequence[Record]) -> list[list[Record]]:
    """Records of the same model, dtype and instances, together."""
    questions: dict[str, list[Record]] = {}
    for record in records:
        questions.setdefault(canonical([record.model, question(record.key)]), []).append(record)
    return list(questions.values())


def regroup(
    store: Store,
    records: Sequence[Record],
    *,
    model: str | None = None,
    data_dir: str | None = None,
    task: Spec | None = None,
    device: str = "auto",
    quiet: bool = True,
) -> JobGroup:
    """Stored cells of one question as a group that can be scored again.

    Args:
        store: The store of the cells.
        records: Their records, all of one model and the same instances.
        model: Where the model is now; None: where the records say.
        data_dir: Where published data are now; None: where the records say.
        task: What names the task now; None: what the records say.
        device: A torch device.
        quiet: Shows no progress bar.

    Raises:
        UsageError: The model or the instances are not those that were explained.
    """
    first = records[0]
    key, request = first.key, first.asked
    name = model or request["model"]
    check_model(name)
    handle = ModelHandle(name, store.url, key["dtype"], device, revision=request["revision"], quiet=quiet, data_dir=data_dir)
    if handle.fingerprint() != key["fingerprint"]:
        hint = "its files differ; say where the right one is with --model."
        raise UsageError(f"model {name!r} is not the one that {first.task} was explained with: {hint}")
    stored = key["task"]
    plan = Plan.make(
        tasks=request["task"] if task is None else as_mapping(task),
        columns=request["columns"],
        split=stored["split"],
        limit=stored["limit"],
        sample_seed=stored["sample_seed"],
        max_tokens=key["max_tokens"],
    )
    spec = with_data(plan.tasks[0], data_dir, replace=True)
    sample = draw(plan, spec)  # in the way of version 0.1, which drew first and counted tokens then
    if sample.key.fingerprint != stored["fingerprint"]:
        sample = draw(plan, spec, lambda _: handle)
    if sample.key.fingerprint != stored["fingerprint"]:
        raise UsageError(
            f"task {first.task!r} has other instances now than those explained in {store.url!r}: score it with the flowgauge "
            "and the data that it was explained with, or run its plan again."
        )
    return JobGroup(
        handle,
        sample.task,
        _task_key(stored),
        sample.instances,
        [Job.of_record(store, record) for record in records],
        max_tokens=key["max_tokens"],
        on_split=key["on_split"],
    )


def _task_key(stored: Mapping[str, Any]) -> TaskKey:
    return TaskKey(**{**stored, "quantity": Quantity(**stored["quantity"])})
