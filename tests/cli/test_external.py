"""`flowgauge questions` and `import`; what they compute is tested with the importer."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner

from flowgauge.cli import app

from .conftest import one_line


def test_questions_are_one_json_object_a_line(tiny_model: Path) -> None:
    words = ["--task", "sva/obj", "--model", str(tiny_model), "--limit", "2", "--device", "cpu"]
    shown = CliRunner().invoke(app, ["questions", *words])
    assert shown.exit_code == 0, shown.output
    questions = [json.loads(line) for line in shown.stdout.splitlines()]
    assert len(questions) == 2 and len({question["id"] for question in questions}) == 2


def test_a_folder_without_a_manifest_is_one_line(tmp_path: Path) -> None:
    one_line(CliRunner().invoke(app, ["import", str(tmp_path)]), 2, "manifest")


def test_help_says_what_the_folder_holds() -> None:
    shown = " ".join(CliRunner().invoke(app, ["import", "--help"], env={"COLUMNS": "250"}).stdout.split())
    assert "explanations.safetensors and manifest.json" in shown and "outside.METHOD" in shown
