"""`flowgauge explain` in the terminal and its files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from flowgauge.cli import app

from .conftest import one_line

TEXT = "the author near the guards [MASK] tall ."


@pytest.fixture
def explain(tiny_model: Path):
    def call(*words: str, method: str = "saliency", text: str = TEXT, good: str = "is") -> Result:
        named = ["--good", good, "--bad", "are"] if good else []
        return CliRunner().invoke(
            app, ["explain", text, "--model", str(tiny_model), "--method", method, "--device", "cpu", *named, *words]
        )

    return call


def test_the_table_is_plain_where_it_is_piped(explain):
    result = explain("--method", "head-taylor")
    assert result.exit_code == 0 and "\x1b" not in result.stdout
    assert "'is' to 'are' in the gap" in result.stdout
    assert "author  +" in result.stdout and "head-taylor: strongest heads" in result.stdout


def test_json_has_everything(explain):
    told = json.loads(explain("--json").stdout)
    assert [word["word"] for word in told["words"]] == ["[CLS]", *TEXT.split(), "[SEP]"]
    assert told["methods"][0]["method"] == "saliency" and len(told["methods"][0]["words"]) == 10


def test_files_are_written_and_named(explain, tmp_path):
    page, picture = tmp_path / "a.html", tmp_path / "a.png"
    result = explain("--html", str(page), "--out", str(picture))
    assert result.stdout.splitlines() == [str(page), str(picture)]
    assert page.read_text().startswith("<!doctype html>") and picture.read_bytes().startswith(b"\x89PNG")


def test_mistakes_are_one_line_with_code_2(explain, tmp_path):
    one_line(explain(text=" "), 2, "the text is empty")
    one_line(explain(text="the author is tall ."), 2, "write [MASK] once")
    one_line(explain(method="nope"), 2, "no method is called 'nope'")
    one_line(explain("--out", str(tmp_path / "a.pdf")), 2, "must end in .png or .svg")
    one_line(explain("--text2", "the pilot"), 2, "write both into one text")
    one_line(explain(good="supercalifragilistic"), 2, "name another word")
