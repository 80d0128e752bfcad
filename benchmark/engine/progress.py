"""A progress bar on stderr for whatever takes more than two seconds."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

PATIENCE = 2.0
"""Seconds before a bar appears."""
PAUSE = 60.0
"""Seconds between two lines where stderr is a file."""


class Progress:
    """Counts steps; shows a bar once `PATIENCE` is over, or a line every `PAUSE` where stderr is no terminal.

    Args:
        total: Steps in all.
        quiet: Never shows anything.
    """

    def __init__(self, total: int, quiet: bool = False) -> None:
        self.total, self.done = total, 0
        self.quiet, self.shown = quiet, not quiet and sys.stderr.isatty()
        self._started = self._told = time.monotonic()
        self._bar: Bar | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    def step(self, text: str, advance: int = 1) -> None:
        """Notes `advance` steps done and what comes next."""
        self.done += advance
        if not self.shown and not self.quiet and time.monotonic() - self._told > PAUSE:
            self._told = time.monotonic()
            minutes = (self._told - self._started) / 60
            print(f"{text}: {self.done} of {self.total} steps after {minutes:.0f} min", file=sys.stderr, flush=True)
        if not self.shown or time.monotonic() - self._started < PATIENCE:
            return
        if self._bar is None:
            self._open()
        assert self._bar is not None and self._task is not None
        self._bar.update(self._task, completed=self.done, description=text)

    def at(self, text: str, done: int, total: int) -> None:
        """Notes that `done` of `total` steps are done, where the total was not known before."""
        if self._bar is not None and self._task is not None:
            self._bar.update(self._task, total=total)
        self.done, self.total = done, total
        self.step(text, 0)

    def _open(self) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bar

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Bar(*columns, console=Console(stderr=True), transient=True)
        self._task = self._bar.add_task("", total=self.total)
        self._bar.start()
