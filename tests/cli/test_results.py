"""`flowgauge list`, `show` and `plot`."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from flowgauge.cli import app
from flowgauge.cli.results import Kind, known_plugins

from .conftest import Invoke, one_line


def test_lists() -> None:
    result = CliRunner().invoke(app, ["list", "tasks"])
    assert result.exit_code == 0 and result.stdout.splitlines()[0].startswith("sva/obj ")
    for kind, name, source in (
        ("methods", "influence-patterns", "Lu et al. 2021"),
        ("metrics", "comprehensiveness", "DeYoung"),
        ("tasks", "sva/obj", "Marvin and Linzen 2018"),
        ("models", "agreement-bert", ""),
    ):
        listed = json.loads(CliRunner().invoke(app, ["list", kind, "--json"]).stdout)
        assert all(entry["summary"] and (entry["source"] or kind == "models") for entry in listed)
        assert next(entry for entry in listed if entry["name"] == name)["source"].startswith(source)
    assert CliRunner().invoke(app, ["list", "colours"]).exit_code == 2


def test_show_and_plot_read_a_store(invoke: Invoke, tmp_path: Path) -> None:
    store = str(tmp_path / "store")
    one_line(CliRunner().invoke(app, ["show", store]), 2, "no store at")
    words = ["--method", "attention", "--metric", "completeness_error", "--limit", "4", "--quiet"]
    assert invoke("--task", "sva/obj", *words).exit_code == 0
    shown = CliRunner().invoke(app, ["show", store])
    assert shown.exit_code == 0 and "by-position" in shown.stdout
    assert "token-sum@1" in CliRunner().invoke(app, ["show", store, "--csv"]).stdout
    assert json.loads(CliRunner().invoke(app, ["show", store, "--json"]).stdout)
    drawn = CliRunner().invoke(
        app, ["plot", store, "--what", "pattern", "--method", "attention", "--out", str(tmp_path / "figures")]
    )
    assert drawn.exit_code == 0, drawn.output
    assert all(Path(line).stat().st_size > 1000 for line in drawn.stdout.splitlines()) and drawn.stdout
    one_line(CliRunner().invoke(app, ["plot", store, "--what", "patern"]), 2, "did you mean pattern")


def test_every_kind_is_known_by_name() -> None:
    first = {kind.value: next(iter(known_plugins(kind))) for kind in Kind}
    assert first == {
        "models": "agreement-bert",
        "tasks": "sva/obj",
        "methods": "influence-patterns",
        "metrics": "ablated_accuracy",
    }
