"""Today's intervals on a board: its records, its ledger, and nothing else."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from flowgauge.benchmark.store.renewal import renewed
from flowgauge.benchmark.store.store import Cell, Store
from flowgauge.cli import app
from flowgauge.core.errors import FlowgaugeError, UsageError
from flowgauge.leaderboards.submission.board import name_of, record_sums
from flowgauge.leaderboards.submission.check_board import check_board
from flowgauge.leaderboards.submission.ledger import add_event, read_ledger, trusted
from flowgauge.leaderboards.submission.renew_board import WHY, renew_board

from ..conftest import keep, patterned, record, rows, score, sentence, write

VALUES = np.array([0.1, 0.9, 0.4, 0.4, 0.7, 0.2, 0.4, 0.5])
LEVELS = {"first": "maintained", "second": "re-scored"}


@pytest.fixture
def board(tmp_path: Path) -> Store:
    """Two cells with intervals of version 0.1, of different trust, and one of today."""
    store = Store(str(tmp_path / "board"))
    for method, version in (("first", 1), ("second", 1), ("third", 2)):
        one = record(method, [score("kept", {"all": (0.45, 0.44, 0.46)}, ranked="all", intervals=version)], instances=8)
        keep(store, one, [sentence("a"), sentence("b")], [patterned()] * 2)
        write(store, one, {"kept@1": rows(VALUES)})
        cell = store.find(one)
        cell.write_record(one.model_copy(update={"files": cell.sums()}))
        add_event(store, "entered", [name_of(one)], LEVELS.get(method, "re-run"), sums=record_sums(store, [one]))
    return store


def files_of(store: Store) -> dict[str, str]:
    paths = [path for path in Path(store.url).rglob("*") if path.suffix in (".parquet", ".safetensors")]
    return {path.name + path.parts[-3]: hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def test_records_and_ledger_are_renewed_and_trust_and_other_files_stay(board: Store) -> None:
    levels, files = trusted(read_ledger(board)), files_of(board)
    expected = {record.method: renewed(board.find(record), record) for record in board.records()}
    assert renew_board(board.url, who="me") == (2, 2, ())
    assert {record.method: record for record in board.records()} == expected
    assert all(score.intervals == 2 for record in expected.values() for score in record.scores.values())
    events = read_ledger(board)[3:]
    assert {(event.action, event.trust, event.who, event.why) for event in events} == {
        ("re-scored", "maintained", "me", WHY), ("re-scored", "re-scored", "me", WHY),
    }  # fmt: skip
    assert trusted(read_ledger(board)) == levels and files_of(board) == files
    checked = check_board(board.url)
    assert (checked.problems, checked.uncovered) == ((), ())
    assert renew_board(board.url) == (0, 0, ()) and len(read_ledger(board)) == 5


def test_a_stopped_renewal_goes_on(board: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[Cell] = []

    def stop_at_the_second(cell: Cell, one: object) -> None:
        if written:
            raise KeyboardInterrupt
        written.append(cell)
        original(cell, one)

    original = Cell.write_record
    monkeypatch.setattr(Cell, "write_record", stop_at_the_second)
    with pytest.raises(KeyboardInterrupt):
        renew_board(board.url)
    monkeypatch.undo()
    assert len(check_board(board.url).problems) == 1
    assert renew_board(board.url) == (1, 1, ())
    assert check_board(board.url).problems == () and len(read_ledger(board)) == 5


def test_a_record_that_is_not_the_one_that_entered_is_not_renewed(board: Store) -> None:
    first = board.records()[0]
    board.find(first).write_record(first.model_copy(update={"cut": 3}))
    with pytest.raises(FlowgaugeError, match=r"record\.json is not the record that entered: `flowgauge leaderboard check "):
        renew_board(board.url)
    assert len(read_ledger(board)) == 3


def test_a_store_without_a_ledger_is_no_board(board: Store) -> None:
    for path in Path(board.url).glob("ledger*"):
        path.unlink()
    with pytest.raises(UsageError, match=r"has no ledger: `flowgauge score "):
        renew_board(board.url)


def test_cells_without_a_sum_in_the_ledger_get_none(board: Store) -> None:
    """Whoever vouches for them says so with a command of its own."""
    for path in Path(board.url).glob("ledger*"):
        path.unlink()
    add_event(board, "entered", [name_of(record) for record in board.records()], "re-run")
    renew_board(board.url)
    assert len(check_board(board.url).uncovered) == 3


def test_the_command_says_what_it_did(board: Store) -> None:
    done, again = (CliRunner().invoke(app, ["leaderboard", "rescore", board.url, "--why", "they are old"]) for _ in range(2))
    assert done.stdout == "2 scores in 2 cells have today's intervals now, in the place of those of version 0.1\n"
    assert again.stdout == "every interval is today's already; name a --metric to score with one more\n"
    assert done.exit_code == again.exit_code == 0 and read_ledger(board)[-1].why == "they are old"
