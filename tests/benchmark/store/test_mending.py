"""The command that mends a cell asks for the same cell."""

from __future__ import annotations

import shlex

from typer.testing import CliRunner

from flowgauge.benchmark.engine.run import run
from flowgauge.benchmark.store.mending import mending_command
from flowgauge.cli import app


def test_the_command_names_the_cell_that_it_mends(make_plan, tmp_path) -> None:
    plan = {"methods": ["random:draws=3"], "metrics": ["path_share"], "seeds": [2], "sample_seed": 1, "dtype": "float64"}
    (record,) = run(make_plan(**plan, max_tokens=30)).records
    command = mending_command(record, str(tmp_path / "again")).split("`")[1]
    done = CliRunner().invoke(app, [*shlex.split(command)[1:], "--quiet"])
    assert done.exit_code == 0, done.output
    assert [path.parent.name for path in (tmp_path / "again").rglob("record.json")] == [record.folder]


def test_cells_that_were_imported_or_say_nothing_have_no_such_command(make_plan) -> None:
    (record,) = run(make_plan(limit=2)).records
    assert mending_command(record.model_copy(update={"asked": {}}), "s").startswith("The `flowgauge run` that computed it")
    assert "flowgauge import" in mending_command(record.model_copy(update={"key": {**record.key, "explanations": "a"}}), "s")
