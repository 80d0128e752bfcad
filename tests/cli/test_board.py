"""`flowgauge leaderboard export`, `exchange`, `publish` and `withdraw` as a user meets them."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from flowgauge.benchmark.store.listing import write_listing
from flowgauge.cli import app
from flowgauge.cli.board import EXPORT_OPTIONS, TABLES, ExportFormat

from .conftest import one_line

STORE = Path(__file__).parents[1] / "fixtures" / "store-3"


def leaderboard(*words: str) -> Result:
    return CliRunner().invoke(app, ["leaderboard", *words])


def test_every_format_has_its_options() -> None:
    known = {format.value for format in ExportFormat}
    assert set(TABLES) < known and {name for formats in EXPORT_OPTIONS.values() for name in formats} == known


@pytest.mark.parametrize(
    ("words", "texts"),
    [
        (["--format", "csv", "--out", "x"], ("--out does not go with --format csv", "every-eval-ever, hub")),
        (["--format", "hub", "--table", "overall"], ("--table does not go with --format hub", "markdown, latex, csv, json")),
        (["--format", "every-eval-ever", "--model", "m", "--out", "x"], ("--model does not go with --format every-eval-ever",)),
        (["--format", "hub", "--dataset", "a/b"], ("--format hub writes the results of one STORE into the folder --out",)),
        (["--format", "every-eval-ever", "another", "--out", "x"], ("one STORE",)),
        (["--format", "hub", "--out", "x"], ("name it with --dataset",)),
    ],
)
def test_an_option_that_the_format_would_ignore_is_refused(words: list[str], texts: tuple[str, ...]) -> None:
    one_line(leaderboard("export", str(STORE), *words), 2, *texts)


def test_results_are_written_in_the_formats_of_other_projects(tmp_path: Path) -> None:
    new, old = tmp_path / "new", tmp_path / "old"
    written = leaderboard("export", str(STORE), "--format", "every-eval-ever", "--out", str(new), "--name", "we")
    assert written.exit_code == 0, written.output
    assert written.stdout.splitlines() == [str(new / "agreement-bert.json")]
    assert '"source_organization_name": "we"' in (new / "agreement-bert.json").read_text()
    words = ["--dataset", "a/b", "--source", "https://example.org"]
    assert leaderboard("export", str(STORE), "--format", "hub", "--out", str(new), *words).exit_code == 0
    assert leaderboard("exchange", str(STORE), "--out", str(old), *words).exit_code == 0
    text = (new / "agreement-bert.yaml").read_text()
    assert text == (old / "agreement-bert.yaml").read_text() and "https://example.org" in text


def test_a_site_is_copied(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "index.html").write_text("<p>a board</p>")
    one_line(leaderboard("publish", str(site), str(tmp_path / "there")), 2, "no whole list of its files")
    write_listing(site)
    copied = leaderboard("publish", str(site), str(tmp_path / "there"))
    assert copied.exit_code == 0 and copied.stdout == f"2 files at {tmp_path / 'there'}\n"
    assert (tmp_path / "there" / "index.html").read_text() == "<p>a board</p>"


@pytest.mark.parametrize("command", ["withdraw", "leave"])
def test_cells_are_withdrawn_with_a_reason(command: str, tmp_path: Path) -> None:
    import shutil

    board = tmp_path / "board"
    shutil.copytree(STORE, board)
    one_line(leaderboard(command, str(board), "--cell", "*", "--why", " "), 2, "--why")
    done = leaderboard(command, str(board), "--cell", "*/attention-*", "--why", "a mistake", "--name", "me")
    assert done.exit_code == 0 and done.stdout == f"1 cells withdrawn from {board}\n"
    assert not list(board.rglob("attention-*/record.json")) and len(list(board.rglob("record.json"))) == 1
    shown = leaderboard("ledger", str(board)).stdout
    assert "left, self-reported by me: a mistake" in shown and "agreement-bert/sva/obj/attention-" in shown
