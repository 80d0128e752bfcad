"""The ledger: no line can be changed, cut or added unnoticed, no text ends one, and writers at once wait for one another."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flowgauge.benchmark.store.damage import LEDGER
from flowgauge.benchmark.store.store import Store
from flowgauge.cli import app
from flowgauge.core.errors import FlowgaugeError, UsageError
from flowgauge.leaderboards.submission.ledger import HEAD, LedgerHead, add_event, ledger_head, read_ledger, trusted

PUBLISHED = Path(__file__).resolve().parents[3] / "leaderboards" / "published" / "board"


@pytest.fixture
def board(tmp_path: Path) -> Store:
    """A board with three events."""
    board = Store(str(tmp_path / "board"))
    for why in ("one", "two", "three"):
        add_event(board, "entered", ["m/t/c"], "well-formed", why=why)
    return board


def lines_of(board: Store) -> list[str]:
    return (Path(board.url) / LEDGER).read_text().splitlines()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda lines: [lines[0].replace("one", "won"), *lines[1:]], "line 2: a line before it was changed or removed"),
        (lambda lines: [lines[0], lines[2]], "line 2: a line before it was changed or removed"),
        (lambda lines: [*lines[:2], "{}"], "line 3: it cannot be read"),
        (lambda lines: [*lines[:2], lines[2].replace("three", "eerht")], "line 3 is not the one whose sha256 ledger.head"),
        (lambda lines: lines[:2], "it has 2 lines, ledger.head beside it counts 3"),
        (lambda lines: [*lines, lines[2]], "line 4: a line before it was changed or removed"),
        (lambda lines: [*lines[:2], lines[2][:-1] + ',"why":"a"}'], "line 3: it cannot be read"),
        (lambda lines: [lines[0].replace('"number":1', '"number":true'), *lines[1:]], "line 1: it cannot be read"),
        (lambda lines: [lines[0].replace('"number":1', '"number":"1"'), *lines[1:]], "line 1: it cannot be read"),
    ],
)
def test_a_ledger_that_was_edited_is_refused(board: Store, spoil, said: str) -> None:
    path = Path(board.url) / LEDGER
    path.write_text("\n".join(spoil(lines_of(board))) + "\n")
    with pytest.raises(FlowgaugeError, match=f"{said}.*restore an undamaged copy"):
        read_ledger(board)
    with pytest.raises(FlowgaugeError, match=said):
        add_event(board, "entered", ["m/t/d"], "well-formed")


def test_no_byte_of_a_ledger_can_be_flipped_unnoticed(board: Store) -> None:
    path = Path(board.url) / LEDGER
    data = path.read_bytes()
    for position in range(0, len(data), 7):
        path.write_bytes(data[:position] + bytes([data[position] ^ 1]) + data[position + 1 :])
        with pytest.raises(FlowgaugeError, match="restore an undamaged copy"):
            read_ledger(board)


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        (LEDGER, None, "it has 0 lines, ledger.head beside it counts 3"),
        (LEDGER, b"", "it is empty"),
        (HEAD, None, "ledger.head beside it is missing"),
        (HEAD, b"", "ledger.head beside it cannot be read"),
        (HEAD, b'{"events": true, "sha256": "' + b"0" * 64 + b'"}', "ledger.head beside it cannot be read"),
    ],
)
def test_a_missing_or_empty_file_is_noticed(board: Store, name: str, data: bytes | None, said: str) -> None:
    path = Path(board.url) / name
    path.unlink() if data is None else path.write_bytes(data)
    with pytest.raises(FlowgaugeError, match=said):
        read_ledger(board)


def test_a_head_that_was_kept_shows_what_both_files_hide(board: Store) -> None:
    kept = ledger_head(board)
    assert kept is not None and LedgerHead.parse(str(kept)) == kept and kept.events == 3
    cut = "\n".join(lines_of(board)[:2])
    (Path(board.url) / LEDGER).write_text(cut + "\n")
    (Path(board.url) / HEAD).write_text(LedgerHead.of(cut.encode().split(b"\n")).model_dump_json())
    assert [event.why for event in read_ledger(board)] == ["one", "two"], "nothing beside the ledger shows it"
    with pytest.raises(FlowgaugeError, match="it has 2 lines, the head given counts 3"):
        read_ledger(board, kept)
    add_event(board, "entered", ["m/t/c"], "well-formed", why="another")
    with pytest.raises(FlowgaugeError, match="line 3 is not the one whose sha256 the head given has"):
        read_ledger(board, kept)


@pytest.mark.parametrize("text", ["", "3", "0:" + "0" * 64, "x:" + "0" * 64, "3:" + "g" * 64])
def test_a_head_is_a_number_and_a_sum(text: str) -> None:
    with pytest.raises(UsageError, match="is no head of a ledger: expected EVENTS:SHA256"):
        LedgerHead.parse(text)


def test_whoever_is_stopped_between_the_two_files_leaves_a_whole_ledger(board: Store) -> None:
    head = (Path(board.url) / HEAD).read_bytes()
    add_event(board, "entered", ["m/t/d"], "well-formed", why="four")
    (Path(board.url) / HEAD).write_bytes(head)
    assert [event.why for event in read_ledger(board)] == ["one", "two", "three", "four"]
    add_event(board, "entered", ["m/t/e"], "well-formed", why="five")
    assert ledger_head(board) == LedgerHead.model_validate_json((Path(board.url) / HEAD).read_bytes())


def test_a_ledger_of_before_is_read_and_goes_on(tmp_path: Path) -> None:
    shutil.copy(PUBLISHED / LEDGER, tmp_path / LEDGER)
    lines = (tmp_path / LEDGER).read_bytes().splitlines(keepends=True)[:5]
    (tmp_path / LEDGER).write_bytes(b"".join(lines))
    board = Store(str(tmp_path))
    assert [event.number for event in read_ledger(board)] == [0] * 5
    assert add_event(board, "left", ["m/t/c"], "self-reported").number == 6
    assert (tmp_path / LEDGER).read_bytes().startswith(b"".join(lines)) and (tmp_path / HEAD).is_file()


def test_no_text_ends_a_line_of_the_ledger(tmp_path: Path) -> None:
    board = Store(str(tmp_path / "board"))
    for why in ("a\u2028b", "a\x85b", "a\nb\r\x0bc"):
        add_event(board, "entered", ["m/t/c"], "well-formed", why=why)
    assert [event.why for event in read_ledger(board)] == ["a\u2028b", "a\x85b", "a\nb\r\x0bc"]
    shown = CliRunner().invoke(app, ["leaderboard", "ledger", board.url]).output
    assert len(shown.splitlines()) == 7 and "a\\nb\\r\\x0bc" in shown


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
