"""The loop by which a process works through a run: whatever no other process works on, until everything is stored."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

from .claims import Claims

PAUSE, LONGEST_PAUSE = 0.05, 2.0
"""Time between two looks at shares that other processes work on: the first, and what it grows to (s)."""

Item = TypeVar("Item")


class WorkerTurn(NamedTuple):
    """Which of several processes this is; each starts at another place, so that they meet late.

    Attributes:
        number: Its number, from 0.
        workers: How many there are.
    """

    number: int = 0
    workers: int = 1

    def rotate(self, items: Sequence[Item]) -> list[Item]:
        """The items in the order of this process.

        >>> WorkerTurn(1, 2).rotate("abcd"), WorkerTurn().rotate("abcd")
        (['c', 'd', 'a', 'b'], ['a', 'b', 'c', 'd'])
        """
        start = self.number * len(items) // self.workers
        return [*items[start:], *items[:start]]


class Share(Protocol):
    """A part of a run's work that one process does at a time."""

    @property
    def memory(self) -> Any:
        """What it keeps for the shares after it; its `free` is called when the next share keeps something else."""

    @property
    def is_done(self) -> bool:
        """Whether this process knows that nothing is left of it; reads no files."""

    @property
    def is_ready(self) -> bool:
        """Whether what it needs is done."""

    def claims(self) -> Sequence[str]:
        """What a process must have to itself while it works on the share."""

    def work(self) -> None:
        """Does what is left of it in the store, and is done then."""


def work_through(shares: Sequence[Share], claims: Claims) -> None:
    """Works on shares, in their order, until all are done by this process or by others.

    Args:
        shares: The shares; those that others need come before these.
        claims: The claims of this process.
    """
    waiting, pause, memory = list(shares), PAUSE, None
    while waiting:
        left = list[Share]()
        for share in waiting:
            if share.is_done:
                continue
            if not share.is_ready:
                left.append(share)
                continue
            if memory is not None and memory is not share.memory:
                memory.free()
            memory = share.memory
            with claims.held(share.claims()) as is_ours:
                if is_ours:
                    share.work()
            if not share.is_done:
                left.append(share)
        if len(left) == len(waiting):
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)
        else:
            pause = PAUSE
        waiting = left
    if memory is not None:
        memory.free()
