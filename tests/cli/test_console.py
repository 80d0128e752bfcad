"""Errors become one line and an exit code; tables are printed for people and for programs."""

from __future__ import annotations

import json
import math

import pandas as pd
import pytest
import typer

from flowgauge.cli.console import complain, print_rows, print_tables, reporting
from flowgauge.core.errors import FlowgaugeError, NotApplicable, UsageError


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
        (KeyboardInterrupt(), 130, "flowgauge: stopped; the same command continues from here."),
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


def test_rows_that_go_to_a_file_are_not_folded(capsys: pytest.CaptureFixture[str]) -> None:
    long = "x" * 100
    print_rows([("method", "score"), (long, "0.5")])
    assert capsys.readouterr().out.splitlines()[1].split() == [long, "0.5"]
