"""A progress bar on stderr for work that takes more than two seconds."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

PATIENCE = 2.0
"""Time before a bar appears (s)."""
PAUSE = 60.0
"""Time between two lines where stderr is a file (s)."""


class Progress:
    """Counts steps; shows a bar after `PATIENCE`, or a line every `PAUSE` where stderr is no terminal.

    Args:
        total: Number of steps in all.
        quiet: Shows nothing.
    """

    def __init__(self, total: int, quiet: bool = False) -> None:
        self.total, self.done = total, 0
        self.quiet, self.shown = quiet, not quiet and sys.stderr.isatty()
        self._started = self._printed = time.monotonic()
        self._bar: Bar | None = None
        self._task: TaskID | None = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.stop()

    def step(self, text: str, advance: int = 1) -> None:
        """Counts `advance` further steps as done and shows `text`, the step that comes next."""
        self.done += advance
        if not self.shown and not self.quiet and time.monotonic() - self._printed > PAUSE:
            self._printed = time.monotonic()
            minutes = (self._printed - self._started) / 60
            print(f"{text}: {self.done} of {self.total} steps after {minutes:.0f} min", file=sys.stderr, flush=True)
        if not self.shown or time.monotonic() - self._started < PATIENCE:
            return
        if self._bar is None:
            self._open()
        assert self._bar is not None and self._task is not None
        self._bar.update(self._task, completed=self.done, description=text)

    def update(self, text: str, done: int, total: int) -> None:
        """Sets the number of steps done and the total, where the total was not known before, and shows `text`."""
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
