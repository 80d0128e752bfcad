"""Spreads a plan over workers, shows their progress, and replaces those that are lost."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Protocol

from ...core.errors import FlowgaugeError, UsageError
from ...core.progress import Progress
from ..store.record import Record
from .messages import Message, Tell, WorkerTask
from .shares import WorkerTurn

EXECUTORS = ("local", "ray")
KILLED = "exit code -9"
"""How a process ends that the system killed."""
REPLACED = 3
"""How many lost workers are replaced, for each worker that was asked for."""


class Workers(Protocol):
    """Processes on this machine or on others."""

    @property
    def running(self) -> int:
        """How many have been started and have neither ended nor been lost."""

    def start(self, task: WorkerTask) -> None:
        """Starts a worker on a task."""

    def messages(self) -> Iterator[tuple[WorkerTask, Message]]:
        """What they tell, as it comes, until none runs; a worker that dies is told of as `lost`."""

    def stop(self) -> None:
        """Ends the workers that still run, at once."""


def spread(
    work: Callable[[WorkerTask, Tell], None],
    plan: Any,
    *,
    executor: str = "local",
    workers: int | None = None,
    devices: Sequence[str] = (),
    quiet: bool = True,
    report: Callable[[Record], None] | None = None,
) -> None:
    """Works through a plan by several processes, until all its cells are stored.

    Workers share the store and nothing else: each takes what no other works on (`benchmark.sharing`). A worker that dies is
    replaced; where this process dies, the same call goes on from what is stored.

    Args:
        work: What a worker does with its task: a function of a module, which tells what goes wrong and does not raise.
        plan: What it works through. Paths in it are relative to the working folder.
        executor: `local`: processes on this machine; `ray`: tasks on a Ray cluster.
        workers: How many; None: for `local` one a device, else two; for `ray` one for each of the cluster's GPUs where devices
            are GPUs, else one for every four of its processors.
        devices: Torch devices, which workers are given in turn; none: the plan's.
        quiet: Shows no progress bar.
        report: Called with the record of every cell that was computed.

    Raises:
        UsageError: The plan cannot run, or there is no such executor.
        FlowgaugeError: A worker failed, or too many were lost.
    """
    if executor not in EXECUTORS:
        raise UsageError(f"there is no executor {executor!r}: choose {' or '.join(EXECUTORS)}.")
    if plan.store.startswith("memory:"):
        raise UsageError(f"the store {plan.store!r} is the memory of one process, which workers do not share: name a folder.")
    if workers is not None and workers < 1:
        raise UsageError(f"at least one worker is needed, got {workers}.")
    group: Workers
    if executor == "ray":
        from .ray_workers import RayWorkers

        group = RayWorkers(workers, devices)
        count, threads = group.count, group.threads
    else:
        from .local_workers import LocalWorkers

        group, count = LocalWorkers(), workers or len(devices) or 2
        threads = max(1, (os.cpu_count() or 1) // count)
    try:
        with Progress(0, quiet) as progress:
            for index in range(count):
                device = devices[index % len(devices)] if devices else ""
                group.start(WorkerTask(work, plan, os.getcwd(), WorkerTurn(index, count), device, threads))
            _follow(group, progress, REPLACED * count, report)
    finally:
        group.stop()


def _follow(group: Workers, progress: Progress, replacements: int, report: Callable[[Record], None] | None) -> None:
    """Follows workers until all of them have ended."""
    lost, is_done = 0, False
    for task, message in group.messages():
        if message.kind == "total":
            progress.total = max(progress.total, message.number)
        elif message.kind == "step":
            progress.step(message.text, message.number)
        elif message.kind == "record" and report is not None:
            report(Record.model_validate_json(message.text))
        elif message.kind == "refused":
            raise UsageError(message.text)
        elif message.kind == "failed":
            raise FlowgaugeError(f"{message.text}\nWhat is stored is whole, and the same command goes on.")
        elif message.kind == "end":
            is_done = True
        elif message.kind == "lost" and not is_done:
            lost += 1
            if lost <= replacements:
                group.start(task)
            elif not group.running:
                raise FlowgaugeError(f"{lost} workers were lost, the last with: {message.text}. {_advice(message.text)}")


def _advice(reason: str) -> str:
    """What to do about workers that are lost again and again."""
    if reason == KILLED:
        return (
            "The system ends processes that take too much memory: choose fewer --workers or less --memory; the same command "
            "goes on from what is stored."
        )
    return 'In a script, call run under `if __name__ == "__main__":`; the same call with one worker says what goes wrong.'
