"""`flowgauge reproduce` as a user meets it."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner, Result

from flowgauge.cli import app
from flowgauge.leaderboards.reproduction.report import PaperReport

from .conftest import one_line


def call(*words: str) -> Result:
    return CliRunner().invoke(app, ["reproduce", *words, "--device", "cpu"])


def test_the_tables_are_printed_and_written(toy_report: PaperReport, toy_paper: Path, tiny_model: Path, tmp_path: Path) -> None:
    words = ["--model", str(tiny_model), "--store", toy_report.reproduction.store, "--out", str(tmp_path)]
    result = call(str(toy_paper), *words)
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[:2] == [toy_report.title, toy_report.summary()[0]]
    assert "Table 1: sufficiency" in lines and "Table 2: it has no numbers" in lines
    assert "not comparable: theirs counts commas (counted in another way, obj)" in lines
    assert lines[-4:] == [str(tmp_path / f"toy-paper{end}") for end in (".html", ".md", "-Table-1.png", "-Table-1.svg")]
    assert call(str(toy_paper), *words[:4], "--quiet").stdout == ""


def test_mistakes_are_one_line(toy_paper: Path, tmp_path: Path) -> None:
    one_line(call("influence-paterns"), 2, "no paper is called 'influence-paterns'", "influence-patterns")
    (tmp_path / "paper.toml").write_text("title = ")
    one_line(call(str(tmp_path / "paper.toml")), 2, "is not TOML")
    one_line(call(str(toy_paper), "--model", "./none", "--store", str(tmp_path / "s")), 2, "./none")
    one_line(call(str(toy_paper), "--limit", "0"), 2, "--limit")
