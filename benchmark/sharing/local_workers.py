"""Workers as processes on this machine."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from .messages import Message, WorkerTask


class LocalWorkers:
    """Processes on this machine, forked from one that has loaded the libraries once where the system can."""

    def __init__(self) -> None:
        self._context = multiprocessing.get_context("forkserver" if os.name == "posix" else "spawn")
        self._context.set_forkserver_preload([__name__, "torch", "transformers"])
        self._running: dict[Connection, tuple[WorkerTask, BaseProcess]] = {}

    @property
    def running(self) -> int:
        """How many processes have been started and have not ended."""
        return len(self._running)

    def start(self, task: WorkerTask) -> None:
        """Starts a process that works on a task."""
        receiver, sender = self._context.Pipe(duplex=False)
        process = self._context.Process(target=_work, args=(task, sender), daemon=True)  # type: ignore[attr-defined]
        process.start()
        sender.close()
        self._running[receiver] = (task, process)

    def messages(self) -> Iterator[tuple[WorkerTask, Message]]:
        """What the processes tell, as it comes, until none runs."""
        while self._running:
            for receiver in wait(list(self._running)):
                assert isinstance(receiver, Connection)
                task, process = self._running[receiver]
                try:
                    message: Message = receiver.recv()
                except (EOFError, OSError):
                    process.join()
                    message = Message("lost", f"exit code {process.exitcode}")
                if message.kind in ("lost", "end"):
                    del self._running[receiver]
                    receiver.close()
                yield task, message

    def stop(self) -> None:
        """Ends the processes that still run."""
        for _, process in self._running.values():
            process.terminate()
        for _, process in self._running.values():
            process.join()
        self._running.clear()


def _work(task: WorkerTask, sender: Connection) -> None:
    """A process of a worker. Where the process that started it is gone, it ends too, and its shares are free for others."""

    def tell(message: Message) -> None:
        try:
            sender.send(message)
        except OSError:
            os._exit(1)

    def end_with_parent() -> None:
        parent = multiprocessing.parent_process()
        if parent is not None:
            wait([parent.sentinel])
            os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()  # a training may tell nothing for an hour
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the process that started it ends it
    with suppress(KeyboardInterrupt):
        task.work(task, tell)
