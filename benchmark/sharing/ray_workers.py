"""Workers as tasks on a Ray cluster."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Iterator, Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

from ...core.errors import UsageError
from .messages import Message, WorkerTask

THREADS = 4
"""Processors of a worker where nobody says how many workers there are."""


class RayWorkers:
    """Tasks on the cluster of the environment variable RAY_ADDRESS, else on one that is running here, else on a new one.

    Args:
        count: How many; None: one for each GPU of the cluster where devices are GPUs, else one for every `THREADS` processors.
        devices: Torch devices; where they are GPUs, each worker has one to itself.

    Attributes:
        count: How many workers there are to be.
        threads: Threads of each.

    Raises:
        UsageError: Ray is not installed, or the cluster cannot be reached.
    """

    def __init__(self, count: int | None, devices: Sequence[str] = ()) -> None:
        try:
            ray: Any = import_module("ray")
        except ImportError as error:
            raise UsageError("the executor ray needs Ray: pip install 'flowgauge[ray]'.") from error
        self._ray, self._running = ray, dict[Any, WorkerTask]()
        self._connected = not ray.is_initialized()
        if self._connected:
            try:
                ray.init(log_to_driver=False, logging_level=logging.ERROR, include_dashboard=False)
            except (ConnectionError, ValueError, RuntimeError) as error:
                raise UsageError(f"cannot reach the Ray cluster: {error} Start one, or correct RAY_ADDRESS.") from error
        has = ray.cluster_resources()
        processors, gpus = int(has.get("CPU", 1)), int(has.get("GPU", 0))
        self._gpus = 1 if any(device.startswith("cuda") for device in devices) else 0
        if self._gpus and not gpus:
            raise UsageError("a GPU is asked for, and the Ray cluster has none: leave --devices out.")
        self.count = count or (gpus if self._gpus else max(1, processors // THREADS))
        largest = max((int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]), default=1)
        self.threads = max(1, min(THREADS, processors // self.count, largest))
        options = {"num_returns": "streaming", "max_retries": 0, "num_cpus": self.threads, "num_gpus": self._gpus}
        self._work = ray.remote(**options, scheduling_strategy="SPREAD")(_work)

    @property
    def running(self) -> int:
        """How many tasks have been started and have not ended."""
        return len(self._running)

    def start(self, task: WorkerTask) -> None:
        """Starts a task; it waits until a node has room for it."""
        device = "cuda" if self._gpus else task.device  # Ray shows a task the GPU that it gives it, as the only one
        self._running[self._work.remote(task._replace(device=device))] = task

    def messages(self) -> Iterator[tuple[WorkerTask, Message]]:
        """What the tasks tell, as it comes, until none runs."""
        while self._running:
            (ready, *_), _ = self._ray.wait(list(self._running), num_returns=1)
            task = self._running[ready]
            try:
                message: Message = self._ray.get(next(ready))
            except StopIteration:
                message = Message("lost", "it ended without a word")
            except self._ray.exceptions.RayError as error:
                message = Message("lost", str(error).strip().rpartition("\n")[2])
            if message.kind in ("lost", "end"):
                del self._running[ready]
            yield task, message

    def stop(self) -> None:
        """Ends the tasks that still run."""
        for task in self._running:
            with suppress(self._ray.exceptions.RayError, ValueError):
                self._ray.cancel(task, force=True)
        self._running.clear()
        if self._connected:
            self._ray.shutdown()


def _work(task: WorkerTask) -> Iterator[Message]:
    """A worker's messages, as it tells them; Ray streams what a task yields."""
    told: queue.SimpleQueue[Message | None] = queue.SimpleQueue()

    def work() -> None:
        try:
            task.work(task, told.put)
        finally:
            told.put(None)

    threading.Thread(target=work, daemon=True).start()
    while (message := told.get()) is not None:
        yield message
