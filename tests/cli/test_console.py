"""Errors become one line and an exit code; tables are printed for people and for programs."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import typer
from typer.testing import CliRunner

from flowgauge.cli import app
from flowgauge.cli.console import complain, print_rows, print_tables, reporting
from flowgauge.core.errors import FlowgaugeError, NotApplicable, UsageError

STORE = Path(__file__).parents[1] / "fixtures" / "store-3"


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (UsageError("name a\nstore."), 2, "flowgauge: name a store."),
        (FlowgaugeError("it did not converge."), 1, "flowgauge: it did not converge."),
        (NotApplicable("no heads"), 1, "flowgauge: no heads"),
        (
            KeyError("what"),
            1,
            "flowgauge: unexpected: there is no 'what' in a mapping (run the command again with --debug to see where)",
        ),
        (KeyboardInterrupt(), 130, "flowgauge: stopped; the same command starts from the beginning."),
    ],
)
def test_an_error_is_one_line_and_an_exit_code(
    error: BaseException, code: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(typer.Exit) as ended, reporting(debug=False):
        raise error
    assert ended.value.exit_code == code and capsys.readouterr().err == f"{line}\n"


@pytest.mark.parametrize("error", [UsageError("name a store."), KeyError("what")])
def test_debugging_lets_the_traceback_through(error: Exception) -> None:
    with pytest.raises(type(error)), reporting(debug=True):
        raise error


def test_an_exit_passes_unchanged() -> None:
    with pytest.raises(typer.Exit) as ended, reporting(debug=False):
        raise typer.Exit(7)
    assert ended.value.exit_code == 7


def test_a_message_cannot_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    complain("a\x1b[2J b\nc")
    assert capsys.readouterr().err == "flowgauge: a\\x1b[2J b c\n"


def test_a_table_is_printed_for_programs_and_for_people(capsys: pytest.CaptureFixture[str]) -> None:
    table = pd.DataFrame({"method": ["a", "b"], "p": [math.inf, math.nan]})
    sections = [("the title", [("method", "p"), ("a", "inf")], ["a note"]), ("", [("method", "p"), ("b", "n/a")], [])]
    print_tables(table, sections, as_json=True, as_csv=False)
    assert json.loads(capsys.readouterr().out) == [{"method": "a", "p": "Infinity"}, {"method": "b", "p": None}]
    print_tables(table, sections, as_json=False, as_csv=True)
    assert capsys.readouterr().out == "method,p\na,inf\nb,\n"
    print_tables(table, sections, as_json=False, as_csv=False)
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["the", "title"], ["method", "p"], ["a", "inf"], ["a", "note"], ["method", "p"], ["b", "n/a"],
    ]  # fmt: skip


def test_brackets_in_a_table_are_text(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows([("method", "score"), ("a", "0.750 [no spread]")])
    assert "0.750 [no spread]" in capsys.readouterr().out


def test_rows_that_go_to_a_file_are_not_folded(capsys: pytest.CaptureFixture[str]) -> None:
    long = "x" * 100
    print_rows([("method", "score"), (long, "0.5")])
    assert capsys.readouterr().out.splitlines()[1].split() == [long, "0.5"]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run", "--task", "sva/obj", "--batch-size", "0"], "batch"),
        (["run", "--task", "sva/obj", "--sample-seed", "-1"], "seed"),
        (["questions", "--task", "sva/obj", "--limit", "0"], "limit"),
        (["run", "--task", "sva/obj", "--store", "a", "--store", "b"], "'--store': it is given twice, and takes one value: `"),
        (["run", "-t", "sva/obj", "-m", "a", "--model", "b"], "it is given twice"),
        (["leaderboard", "build", "a", "--out", "x", "--out", "y"], "'--out': it is given twice"),
        (["leaderboard", "verify"], "Missing argument 'BUNDLE': `"),
        (["calibration", "--level"], "--level"),
        (["shwo"], "No such command 'shwo'"),
        (["run", "--lmit", "3"], "--lmit"),
    ],
)
def test_what_the_parser_refuses_is_one_line_like_any_other_error(words: list[str], said: str) -> None:
    refused = CliRunner().invoke(app, words)
    (line,) = refused.stderr.splitlines()
    assert refused.exit_code == 2 and refused.stdout == ""
    assert line.startswith("flowgauge: ") and said in line


def test_repeatable_options_and_flags_may_be_repeated() -> None:
    refused = CliRunner().invoke(app, ["show", "nowhere", "--json", "--json"])
    assert "there is no store at 'nowhere'" in refused.stderr
    compared = CliRunner().invoke(app, ["compare", "nowhere", "-t", "a", "-t", "b"])
    assert "there is no store at 'nowhere'" in compared.stderr


@pytest.mark.parametrize("words", [[], ["leaderboard"]])
def test_without_a_command_help_is_shown(words: list[str]) -> None:
    shown = CliRunner().invoke(app, words)
    assert shown.exit_code == 2 and "Usage:" in shown.output and "flowgauge: " not in shown.output


@pytest.mark.parametrize(
    ("words", "computes", "said"),
    [
        (["run", "--task", "sva/obj"], "flowgauge.benchmark.engine.run.run", "continues from here"),
        (["leaderboard", "merge", "a", "b", "--form-only"], "flowgauge.leaderboards.submission.board.merge", "starts from the"),
        (["leaderboard", "build", "a"], "flowgauge.leaderboards.site.build.build", "starts from the beginning"),
    ],
)
def test_a_command_that_is_stopped_says_whether_it_goes_on(
    words: list[str], computes: str, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(computes, stop)
    stopped = CliRunner().invoke(app, words)
    assert stopped.exit_code == 130 and stopped.stdout == ""
    assert stopped.stderr.startswith(f"flowgauge: stopped; the same command {said}") and stopped.stderr.count("\n") == 1


def test_a_message_has_a_bounded_length(capsys: pytest.CaptureFixture[str]) -> None:
    complain("x" * 10_000)
    assert capsys.readouterr().err == f"flowgauge: {'x' * 4000}...\n"


@pytest.mark.parametrize(
    "words", [["compare", str(STORE)], ["show", str(STORE)], ["list", "methods"]], ids=lambda words: words[0]
)
def test_a_reader_that_closes_the_pipe_ends_a_command_without_a_word(words: list[str]) -> None:
    """As `head` does; what is printed through rich ends in another way than the rest."""
    end, start = os.pipe()
    os.close(end)
    command = [sys.executable, "-c", "from flowgauge.cli import main; main()", *words]
    done = subprocess.run(command, stdout=start, stderr=subprocess.PIPE, text=True, check=False)
    os.close(start)
    assert (done.returncode, done.stderr) == (0, "")
