"""The ledger: a line cannot be changed, no text ends one, and writers at once wait for one another."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flowgauge.benchmark.store.store import Store
from flowgauge.cli import app
from flowgauge.core.errors import FlowgaugeError
from flowgauge.leaderboards.submission.ledger import LEDGER, add_event, read_ledger, trusted


@pytest.mark.parametrize("spoil", ["change", "drop", "garbage"])
def test_a_ledger_that_was_edited_is_refused(tmp_path: Path, spoil: str) -> None:
    board = Store(str(tmp_path / "board"))
    for why in ("one", "two", "three"):
        add_event(board, "entered", ["m/t/c"], "well-formed", why=why)
    path = tmp_path / "board" / LEDGER
    lines = path.read_text().splitlines()
    spoilt = {
        "change": [lines[0].replace("one", "won"), *lines[1:]],
        "drop": [lines[0], lines[2]],
        "garbage": [*lines[:2], "{}"],
    }[spoil]
    path.write_text("\n".join(spoilt) + "\n")
    with pytest.raises(FlowgaugeError, match=r"line [23]: (a line before it was changed|it cannot be read)"):
        read_ledger(board)


def test_no_text_ends_a_line_of_the_ledger(tmp_path: Path) -> None:
    board = Store(str(tmp_path / "board"))
    for why in ("a\u2028b", "a\x85b", "a\nb\r\x0bc"):
        add_event(board, "entered", ["m/t/c"], "well-formed", why=why)
    assert [event.why for event in read_ledger(board)] == ["a\u2028b", "a\x85b", "a\nb\r\x0bc"]
    shown = CliRunner().invoke(app, ["leaderboard", "ledger", board.url]).output
    assert len(shown.splitlines()) == 6 and "a\\nb\\r\\x0bc" in shown


def test_events_at_once_are_all_kept(tmp_path: Path) -> None:
    board = str(tmp_path / "board")

    def add(number: int) -> None:
        add_event(Store(board), "entered", [f"m/t/{number}"], "well-formed")

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(40)))
    assert len(read_ledger(Store(board))) == 40


def test_a_cell_has_the_trust_of_its_last_event_until_it_is_withdrawn(tmp_path: Path) -> None:
    board = Store(str(tmp_path / "board"))
    first = add_event(board, "entered", ["m/t/b", "m/t/a"], "re-scored", who="someone", bundle="0" * 64)
    assert first.cells == ("m/t/a", "m/t/b") and first.before == "0" * 64
    add_event(board, "re-run", ["m/t/a"], "re-run")
    assert trusted(read_ledger(board)) == {"m/t/a": "re-run", "m/t/b": "re-scored"}
    add_event(board, "left", ["m/t/a"], "self-reported", why="a mistake")
    assert trusted(read_ledger(board)) == {"m/t/b": "re-scored"}
