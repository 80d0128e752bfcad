"""`flowgauge list` and `info`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flowgauge.cli import app
from flowgauge.methods.registry import METHODS
from flowgauge.metrics.registry import METRICS
from flowgauge.tasks.registry import TASKS

from .conftest import one_line


def printed(*words: str, width: int = 100) -> str:
    result = CliRunner().invoke(app, [*words], env={"COLUMNS": str(width)})
    assert result.exit_code == 0, result.output
    return result.stdout


def test_a_list_has_groups_with_sources() -> None:
    lines = printed("list", "methods").splitlines()
    assert lines[0] == "Paths through the model" and lines[1].startswith("  influence-patterns ")
    assert lines[2].strip().startswith("Lu et al. 2021, Influence Patterns")
    assert [name for name in METHODS.builtin if not any(line.startswith(f"  {name} ") for line in lines)] == []
    assert lines.index("Control") > lines.index("Gradients and relevance")


def test_a_plugin_of_many_names_is_listed_once_with_all_of_them() -> None:
    lines = printed("list", "tasks").splitlines()
    at = next(index for index, line in enumerate(lines) if line.startswith("  blimp/... "))
    assert "differ" in lines[at] and "Warstadt et al. 2020" in lines[at + 1]
    names = " ".join(line.strip() for line in lines[at + 2 : lines.index("", at)]).split(", ")
    assert names == [name.removeprefix("blimp/") for name in TASKS.builtin if name.startswith("blimp/")]
    assert len(json.loads(printed("list", "tasks", "--json"))) == len(TASKS.builtin)


def test_without_a_kind_everything_is_listed() -> None:
    shown = printed("list")
    for text in ("models: comes with the package", "tasks: planted paths", "methods: control", "metrics: of masks"):
        assert text in shown
    kinds = {entry["kind"] for entry in json.loads(printed("list", "--json"))}
    assert kinds == {"model", "task", "method", "metric"}


def test_a_kind_that_does_not_exist_is_refused_with_the_nearest() -> None:
    one_line(CliRunner().invoke(app, ["list", "method"]), 2, "no list is called 'method': did you mean methods")
    one_line(CliRunner().invoke(app, ["list", "nothing"]), 2, "known: methods, metrics, models, tasks")


@pytest.mark.parametrize(
    ("kind", "name", "source"),
    [
        ("methods", "influence-patterns", "Lu et al. 2021"),
        ("metrics", "comprehensiveness", "DeYoung"),
        ("tasks", "sva/obj", "Marvin and Linzen 2018"),
        ("models", "agreement-bert", ""),
    ],
)
def test_json_of_a_list_is_that_of_info(kind: str, name: str, source: str) -> None:
    listed = json.loads(printed("list", kind, "--json"))
    assert all(entry["summary"] and (entry["source"] or kind == "models") for entry in listed)
    entry = next(entry for entry in listed if entry["name"] == name)
    assert entry["source"].startswith(source) and json.loads(printed("info", name, "--json")) == [entry]


def test_info_of_a_method_has_every_fact() -> None:
    shown = printed("info", "diffmask-hidden")
    labels = ("source", "gives", "needs", "seed", "version", "cost", "misleads")
    assert [label for label in labels if f"\n  {label} " not in shown] == []
    said = " ".join(shown.split())
    for text in (
        "(method; masks that are searched",
        "training: A training on the task's",
        "integrated-gradients passes",
        "steps=8000",
    ):
        assert text in said
    assert max(map(len, shown.splitlines())) <= 100


@pytest.mark.parametrize("width", [60, 100, 200])
def test_pages_are_wrapped_and_have_no_empty_lines_in_a_row(width: int) -> None:
    for name in (*METHODS.builtin, *METRICS.builtin, "planted", "agreement-bert", "agreement-gpt2", "sst2", "toy/counting"):
        shown = printed("info", name, width=width)
        assert max(map(len, shown.splitlines())) <= min(width, 110), name
        assert "\n\n\n" not in shown and not any(line.endswith(" ") for line in shown.splitlines()), name


def test_info_of_a_file_and_of_an_unknown_name(tmp_path: Path) -> None:
    file = tmp_path / "mine.py"
    file.write_text(
        'import flowgauge\n\n\n@flowgauge.method("mine", gives="tokens")\ndef mine(model, batch):\n    "All alike."\n'
    )
    shown = printed("info", str(file))
    assert shown.startswith("mine (method; from other packages and files)\n\nAll alike.\n") and "does not say when" in shown
    one_line(CliRunner().invoke(app, ["info", "conductanc"]), 2, "did you mean conductance")
    assert CliRunner().invoke(app, ["list", "colours"]).exit_code == 2
