"""Progress where stderr is a file: a line at a time, or nothing."""

from __future__ import annotations

from flowgauge.core.progress import Progress


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
