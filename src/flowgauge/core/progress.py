"""A progress bar for work that takes more than two seconds: on stderr, or tqdm's in a notebook."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Any, Protocol

PATIENCE = 2.0
"""Time before a bar appears (s)."""
PAUSE = 60.0
"""Time between two lines where stderr is a file (s)."""


def in_notebook() -> bool:
    """Whether the code runs in a notebook, whose cells show widgets; never imports IPython."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython is not None and hasattr(ipython, "get_ipython") else None
    return shell is not None and hasattr(shell, "kernel")


class Progress:
    """Counts steps; shows a bar after `PATIENCE`, or a line every `PAUSE` where stderr is no terminal and this no notebook.

    Args:
        total: Number of steps in all.
        quiet: Shows nothing.
    """

    def __init__(self, total: int, quiet: bool = False) -> None:
        self.total, self.done = total, 0
        self.quiet, self.shown = quiet, not quiet and (in_notebook() or sys.stderr.isatty())
        self._started = self._printed = time.monotonic()
        self._bar: _Bar | None = None

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._bar is not None:
            self._bar.close()

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
            self._bar = (_NotebookBar if in_notebook() else _TerminalBar)(self.total)
        self._bar.show(text, self.done, self.total)

    def update(self, text: str, done: int, total: int) -> None:
        """Sets the number of steps done and the total, where the total was not known before, and shows `text`."""
        self.done, self.total = done, total
        self.step(text, 0)


class _Bar(Protocol):
    def show(self, text: str, done: int, total: int) -> None: ...
    def close(self) -> None: ...


class _TerminalBar:
    """A bar of rich, which disappears at the end."""

    def __init__(self, total: int) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
        self._bar = Progress(*columns, console=Console(stderr=True), transient=True)
        self._task = self._bar.add_task("", total=total)
        self._bar.start()

    def show(self, text: str, done: int, total: int) -> None:
        self._bar.update(self._task, completed=done, total=total, description=text)

    def close(self) -> None:
        self._bar.stop()


class _NotebookBar:
    """A bar of tqdm: a widget where the notebook has ipywidgets, else text."""

    def __init__(self, total: int) -> None:
        from tqdm.auto import tqdm

        self._bar: Any = tqdm(total=total, leave=False)

    def show(self, text: str, done: int, total: int) -> None:
        if self._bar.total != total:
            self._bar.reset(total)
        self._bar.set_description(text, refresh=False)
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        self._bar.close()
