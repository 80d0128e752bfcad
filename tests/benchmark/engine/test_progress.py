"""Progress on a terminal and in a file."""

from __future__ import annotations

from flowgauge.benchmark.engine.run import run


def test_a_long_run_into_a_file_says_where_it_is(make_plan, capsys, monkeypatch) -> None:
    monkeypatch.setattr("flowgauge.benchmark.engine.progress.PAUSE", 0.0)
    run(make_plan(), quiet=False)
    told = capsys.readouterr().err.splitlines()
    assert told[-1] == "sva/obj: 4 of 4 steps after 0 min" and "sva/obj: by-position: 0 of 4 steps after 0 min" in told
    run(make_plan(limit=6), quiet=True)
    assert capsys.readouterr().err == ""
