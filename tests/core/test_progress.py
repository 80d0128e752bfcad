"""Progress: a line at a time where stderr is a file, a bar in a terminal, that of tqdm in a notebook, or nothing."""

from __future__ import annotations

import io
import sys
from types import SimpleNamespace

from flowgauge.core.progress import Progress, in_notebook


def test_lines_in_a_file_say_how_many_steps_are_done(capsys, monkeypatch) -> None:
    monkeypatch.setattr("flowgauge.core.progress.PAUSE", 0.0)
    with Progress(3) as progress:
        progress.step("reading")
        progress.update("scoring", 4, 8)
    assert capsys.readouterr().err.splitlines() == ["reading: 1 of 3 steps after 0 min", "scoring: 4 of 8 steps after 0 min"]


def test_short_work_and_quiet_work_print_nothing(capsys) -> None:
    for quiet in (False, True):
        with Progress(2, quiet) as progress:
            progress.step("reading")
            progress.step("reading")
    assert capsys.readouterr().err == "" and progress.done == 2


def test_a_notebook_gets_the_bar_of_tqdm(monkeypatch) -> None:
    class Shell:
        kernel = object()

    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=Shell))
    monkeypatch.setattr("flowgauge.core.progress.PATIENCE", 0.0)
    assert in_notebook()
    shown: list[tuple[str, int, int]] = []

    class Bar:
        def __init__(self, total: int, leave: bool) -> None:
            self.n, self.total, self.text = 0, total, ""

        def reset(self, total: int) -> None:
            self.n, self.total = 0, total

        def set_description(self, text: str, refresh: bool) -> None:
            self.text = text

        def update(self, more: int) -> None:
            self.n += more
            shown.append((self.text, self.n, self.total))

        def close(self) -> None:
            shown.append(("closed", self.n, self.total))

    monkeypatch.setitem(sys.modules, "tqdm.auto", SimpleNamespace(tqdm=Bar))
    with Progress(4) as progress:
        progress.step("explaining")
        progress.step("explaining", 2)
        progress.update("scoring", 4, 8)
    assert shown == [("explaining", 1, 4), ("explaining", 3, 4), ("scoring", 4, 8), ("closed", 4, 8)]


def test_a_shell_without_a_kernel_is_no_notebook(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: None))
    assert not in_notebook()
    monkeypatch.delitem(sys.modules, "IPython")
    assert not in_notebook()


def test_a_terminal_gets_a_bar_that_disappears(monkeypatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    written = Terminal()
    monkeypatch.setattr(sys, "stderr", written)
    monkeypatch.setattr("flowgauge.core.progress.PATIENCE", 0.0)
    monkeypatch.setenv("TERM", "xterm")
    with Progress(4) as progress:
        progress.step("explaining", 3)
        progress.update("scoring", 3, 8)
    assert "3/8" in written.getvalue() and "scoring" in written.getvalue()
