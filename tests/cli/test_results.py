"""`flowgauge list`, `show`, `plot` and `report-card`."""

from __future__ import annotations

import json
from pathlib import Path

from tests.leaderboards.report_cards.conftest import made
from typer.testing import CliRunner

from flowgauge.cli import app

from .conftest import Invoke, one_line


def test_show_and_plot_read_a_store(invoke: Invoke, tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    one_line(CliRunner().invoke(app, ["show", store]), 2, "no store at")
    words = ["--method", "attention", "--metric", "completeness_error", "--limit", "4", "--quiet"]
    assert invoke("--task", "sva/obj", *words).exit_code == 0
    shown = CliRunner().invoke(app, ["show", store])
    assert shown.exit_code == 0 and "by-position" in shown.stdout
    assert "token-sum@1" in CliRunner().invoke(app, ["show", store, "--csv"]).stdout
    assert json.loads(CliRunner().invoke(app, ["show", store, "--json"]).stdout)
    scorecard = CliRunner().invoke(app, ["show", store, "--scorecard"])
    assert scorecard.exit_code == 0 and "4 instances: cost and promises" in scorecard.stdout
    assert "\npasses: forward passes" in scorecard.stdout and "\nRows: the best" in scorecard.stdout
    one_line(CliRunner().invoke(app, ["show", store, "--scorecard", "--json"]), 2, "--scorecard is a text by itself")
    drawn = CliRunner().invoke(
        app, ["plot", store, "--what", "pattern", "--method", "attention", "--out", str(tmp_path / "figures")]
    )
    assert drawn.exit_code == 0, drawn.output
    assert all(Path(line).stat().st_size > 1000 for line in drawn.stdout.splitlines()) and drawn.stdout
    one_line(CliRunner().invoke(app, ["plot", store, "--what", "patern"]), 2, "did you mean pattern")


def test_a_report_card_is_printed_and_written(tmp_path: Path) -> None:
    store, out = made(tmp_path / "store", tasks=2), tmp_path / "cards"
    printed = CliRunner().invoke(app, ["report-card", store, "--metric", "copy"])
    assert (
        printed.exit_code == 0
        and "power, noise 1" in printed.stdout
        and "\nlevel: share of pairs" in printed.stdout
        and "\nMeasured on planted/0" in printed.stdout
    )
    read = json.loads(CliRunner().invoke(app, ["report-card", store, "--metric", "copy", "--json"]).stdout)
    assert [card["metric"] for card in read["cards"]] == ["copy"] and read["cards"][0]["truth"]["value"] == 1
    written = CliRunner().invoke(app, ["report-card", store, "--out", str(out)])
    assert sorted(Path(line).name for line in written.stdout.splitlines()) == sorted(path.name for path in out.iterdir())
    one_line(CliRunner().invoke(app, ["report-card", store, "--metric", "copi"]), 2, "did you mean copy")
    one_line(CliRunner().invoke(app, ["report-card", store, "--metric", "copy", "--out", str(out)]), 2, "leave out --metric")
    one_line(CliRunner().invoke(app, ["report-card", str(tmp_path / "none")]), 2, "no store at")
