"""`flowgauge questions` and `import`; what they compute is tested with the importer."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from flowgauge.cli import app

from .conftest import one_line, pairs


def test_questions_are_one_json_object_a_line(tiny_model: Path) -> None:
    words = ["--task", "sva/obj", "--model", str(tiny_model), "--limit", "2", "--device", "cpu"]
    shown = CliRunner().invoke(app, ["questions", *words])
    assert shown.exit_code == 0, shown.output
    questions = [json.loads(line) for line in shown.stdout.splitlines()]
    assert len(questions) == 2 and len({question["id"] for question in questions}) == 2


def test_questions_take_the_options_of_a_task(tiny_model: Path, tmp_path: Path) -> None:
    rows = (
        "the author that the chef likes [MASK] tall .\tis\tare\ty",
        "the authors [MASK] tall .\tare\tis\ty",
        "x [MASK]\tis\tare\tz",
    )
    path = pairs(tmp_path / "pairs.tsv", *rows, head="text\tgood\tbad\tpart")
    words = ["--task", path, "--model", str(tiny_model), "--device", "cpu", "--column", "sentence=text", "--where", "part=y"]
    shown = CliRunner().invoke(app, ["questions", *words, "--on-split", "skip", "--dtype", "float32"])
    assert shown.exit_code == 0, shown.output
    assert [json.loads(line)["id"] for line in shown.stdout.splitlines()] == ["pairs/1", "pairs/2"]
    one_line(CliRunner().invoke(app, ["questions", *words, "--limit", "0"]), 2, "limit", "greater than 0")
    one_line(
        CliRunner().invoke(app, ["questions", *words, "--sample-seed", "-1"]), 2, "sample_seed", "greater than or equal to 0"
    )


def test_a_folder_without_a_manifest_is_one_line(tmp_path: Path) -> None:
    one_line(CliRunner().invoke(app, ["import", str(tmp_path)]), 2, "manifest")


def test_help_says_what_the_folder_holds() -> None:
    shown = " ".join(CliRunner().invoke(app, ["import", "--help"], env={"COLUMNS": "250"}).stdout.split())
    assert "explanations.safetensors and manifest.json" in shown and "outside.METHOD" in shown
