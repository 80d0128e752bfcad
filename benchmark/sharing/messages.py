"""What a worker is told to do, and what it tells."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

from ...core.progress import Progress
from .shares import WorkerTurn


class Message(NamedTuple):
    """What a worker tells.

    Attributes:
        kind: `total`: how many steps there are, for all workers together; `step`: some are done; `record`: a cell's record is
            stored; `refused`: the plan cannot run; `failed`: something went wrong; `lost`: the worker is gone; `end`: all is
            done.
        text: The next step, the record (JSON), or what went wrong.
        number: Number of steps.
    """

    kind: Literal["total", "step", "record", "refused", "failed", "lost", "end"]
    text: str = ""
    number: int = 0


Tell = Callable[[Message], None]
"""Takes messages for whoever started the worker."""


class WorkerTask(NamedTuple):
    """What a worker is to do.

    Attributes:
        work: A function of a module, called with this task and with what takes its messages.
        plan: What it works through.
        folder: The working folder that the plan's paths are relative to.
        turn: Which of the workers it is.
        device: Its torch device; empty: the plan's.
        threads: Threads that it computes with.
    """

    work: Callable[[WorkerTask, Tell], None]
    plan: Any
    folder: str
    turn: WorkerTurn
    device: str
    threads: int


class ToldProgress(Progress):
    """Progress that another process shows."""

    def __init__(self, total: int, tell: Tell) -> None:
        super().__init__(total, quiet=True)
        self._tell = tell
        tell(Message("total", number=total))

    def step(self, text: str, advance: int = 1) -> None:
        """Tells that `advance` further steps are done, and of the step that comes next."""
        self._tell(Message("step", text, advance))
