"""A board held against its ledger: every file, whatever was edited, removed or added."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flowgauge.benchmark.store.damage import LEDGER
from flowgauge.benchmark.store.store import Store
from flowgauge.cli import app
from flowgauge.core.errors import FlowgaugeError, UsageError
from flowgauge.leaderboards.submission.board import name_of, record_sums, rescored, withdraw
from flowgauge.leaderboards.submission.check_board import check_board, note_sums
from flowgauge.leaderboards.submission.ledger import HEAD, add_event, read_ledger, trusted

from ..conftest import keep, patterned, record, rows, score, sentence, write

PUBLISHED = Path(__file__).resolve().parents[3] / "leaderboards" / "published" / "board"


def fill(url: str) -> Store:
    """A store of two cells with two files of explanations each, and a training."""
    store = Store(url)
    for method in ("first", "second"):
        one = record(method, [score("kept", {"all": 0.5}, ranked="all", higher_is_better=True)], instances=4, cell="0" * 12)
        keep(store, one, [sentence("a"), sentence("b")], [patterned()] * 2)
        cell = store.find(one)
        shutil.copy(Path(cell.path) / "explanations/00000.safetensors", Path(cell.path) / "explanations/00002.safetensors")
        write(store, one, {"kept@1": rows([0.0, 1.0])})
        cell.write_record(one.model_copy(update={"files": cell.sums()}))
    fit = {"key": {"model": "toy"}, "status": "done", "seconds": 1.0, "curve": [], "weights": _sum(b"weights")}
    store.files.write(f"{store.files.root}/fits/toy/fit.json", json.dumps(fit).encode())
    store.files.write(f"{store.files.root}/fits/toy/weights.safetensors", b"weights")
    return store


def _sum(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def enter(store: Store, explanations: int | None = None) -> None:
    records = store.records()
    fit = (Path(store.url) / "fits/toy/fit.json").read_bytes()
    sums = record_sums(store, records) | {"fits/toy/fit.json": _sum(fit)}
    add_event(store, "entered", [name_of(r) for r in records], "re-scored", sums=sums, explanations=explanations)


@pytest.fixture(scope="module")
def whole(tmp_path_factory) -> Path:
    store = fill(str(tmp_path_factory.mktemp("whole") / "board"))
    enter(store)
    return Path(store.url)


@pytest.fixture
def board(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "board"))


def test_a_whole_board_has_no_problems(whole: Path) -> None:
    checked = check_board(str(whole))
    assert (checked.problems, checked.uncovered, checked.files, checked.head.events) == ((), (), 10, 1)


FIRST, WEIGHTS = "toy/sva/obj/first-000000000000", "fits/toy/weights.safetensors"


def _flip(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])


ROWS, EXPLANATIONS, FIT = f"{FIRST}/scores/kept@1.parquet", f"{FIRST}/explanations/00002.safetensors", "fits/toy/fit.json"
OTHER, MISSING, UNKNOWN = "its sha256 is not the one that entered", "it is missing", "neither the ledger nor a record"
SPOILS = {
    "rows edited": (lambda at: _flip(at / ROWS), {ROWS: OTHER}),
    "rows gone": (lambda at: (at / ROWS).unlink(), {ROWS: MISSING}),
    "explanations gone": (lambda at: (at / EXPLANATIONS).unlink(), {EXPLANATIONS: MISSING}),
    "record edited": (lambda at: _flip(at / FIRST / "record.json"), {f"{FIRST}/record.json": OTHER}),
    "record gone": (lambda at: (at / FIRST / "record.json").unlink(), {f"{FIRST}/record.json": MISSING}),
    "cell gone": (lambda at: shutil.rmtree(at / FIRST), {f"{FIRST}/record.json": MISSING}),
    "record of another cell": (
        lambda at: shutil.copy(at / FIRST.replace("first", "second") / "record.json", at / FIRST / "record.json"),
        {f"{FIRST}/record.json": OTHER},
    ),
    "file added": (lambda at: (at / FIRST / "more.parquet").write_text("x"), {f"{FIRST}/more.parquet": UNKNOWN}),
    "file beside": (lambda at: (at / "notes.txt").write_text("x"), {"notes.txt": UNKNOWN}),
    "training edited": (lambda at: _flip(at / FIT), {FIT: OTHER}),
    "training gone": (lambda at: (at / FIT).unlink(), {FIT: MISSING}),
    "weights edited": (lambda at: (at / WEIGHTS).write_bytes(b"Weights"), {WEIGHTS: OTHER}),
    "weights gone": (lambda at: (at / WEIGHTS).unlink(), {WEIGHTS: MISSING}),
    "training added": (
        lambda at: shutil.copytree(at / "fits/toy", at / "fits/new"),
        {FIT.replace("toy", "new"): UNKNOWN, WEIGHTS.replace("toy", "new"): UNKNOWN},
    ),
}


@pytest.mark.parametrize("spoil", SPOILS)
def test_what_was_changed_on_disk_is_named(board: Path, spoil: str) -> None:
    change, said = SPOILS[spoil]
    change(board)
    problems = check_board(str(board)).problems
    assert len(problems) == len(said), problems
    assert all(p.startswith(f"{name}: {what}") for p, (name, what) in zip(problems, said.items(), strict=True)), problems


def test_a_cell_that_no_event_has_is_named(board: Path) -> None:
    shutil.copytree(board / FIRST, board / "toy/sva/obj/other-000000000000")
    withdrawn = Path(shutil.copytree(board / FIRST, board.parent / "withdrawn"))
    withdraw(str(board), ["*/first-*"], "a mistake")
    assert len(check_board(str(board)).problems) == 4, "the four files of the other cell"
    shutil.rmtree(board / "toy/sva/obj/other-000000000000")
    assert check_board(str(board)).problems == ()
    shutil.copytree(withdrawn, board / FIRST)
    assert len(check_board(str(board)).problems) == 4


def test_explanations_that_a_board_does_not_keep_are_no_problem(tmp_path: Path) -> None:
    store = fill(str(tmp_path / "board"))
    left_out, kept = (Path(store.url) / FIRST / f"explanations/{start}.safetensors" for start in ("00002", "00000"))
    left_out.unlink()
    enter(store, explanations=2)
    assert check_board(store.url).problems == ()
    kept.unlink()
    assert check_board(store.url).problems == (f"{FIRST}/explanations/00000.safetensors: it is missing.",)


def test_scores_that_were_added_later_have_the_sums_of_their_event(board: Path) -> None:
    store = Store(str(board))
    first, second = store.records()
    for one in (first, second):
        cell = store.find(one)
        cell.write_scores(score("more", {"all": 1.0}), rows([1.0, 1.0]))
        cell.write_record(one.model_copy(update={"files": cell.sums()}))
    assert len(check_board(store.url).problems) == 2, "the record of each cell differs"
    rescored(store.url, store.records(), "a new metric")
    assert check_board(store.url).problems == ()


def test_sums_of_a_board_of_before_are_noted_once(tmp_path: Path) -> None:
    store = fill(str(tmp_path / "board"))
    path = Path(store.url) / FIRST
    (path / "explanations/00002.safetensors").unlink()
    names = [name_of(r) for r in store.records()]
    add_event(store, "entered", names, "re-scored")
    before = {p: p.read_bytes() for p in Path(store.url).rglob("*") if p.is_file() and p.name not in (LEDGER, HEAD)}
    checked = check_board(store.url)
    assert (checked.problems, checked.uncovered) == ((), tuple(names))
    with pytest.raises(UsageError, match="say why"):
        note_sums(store.url, " ")
    events = note_sums(store.url, "files as they entered")
    assert [(e.cells, e.explanations, e.trust) for e in events] == [
        ((names[0],), 2, "re-scored"), ((names[1],), None, "re-scored")
    ]  # fmt: skip
    assert trusted(read_ledger(store)) == dict.fromkeys(names, "re-scored")
    assert before == {p: p.read_bytes() for p in Path(store.url).rglob("*") if p.is_file() and p.name not in (LEDGER, HEAD)}
    assert check_board(store.url).uncovered == () == check_board(store.url).problems
    with pytest.raises(UsageError, match="has the sums of all cells already"):
        note_sums(store.url, "again")
    _flip(path / "record.json")
    assert check_board(store.url).problems == (f"{FIRST}/record.json: its sha256 is not the one that entered.",)


def test_sums_of_a_board_that_was_edited_are_not_noted(tmp_path: Path) -> None:
    store = fill(str(tmp_path / "board"))
    add_event(store, "entered", [name_of(r) for r in store.records()], "re-scored")
    _flip(Path(store.url) / FIRST / "scores/kept@1.parquet")
    with pytest.raises(FlowgaugeError, match=r"does not agree with its ledger: .*kept@1.parquet"):
        note_sums(store.url, "files as they entered")


def test_the_command_prints_problems_and_the_head(board: Path) -> None:
    runner = CliRunner()
    done = runner.invoke(app, ["leaderboard", "check", str(board)])
    head = done.stdout.strip().rpartition(" ")[2]
    assert done.exit_code == 0 and done.stdout.startswith("10 files, 0 problems, head 1:"), done.output
    assert runner.invoke(app, ["leaderboard", "ledger", str(board)]).stdout.endswith(f"\nhead {head}\n")
    assert runner.invoke(app, ["leaderboard", "check", str(board), "--head", head]).exit_code == 0
    other = runner.invoke(app, ["leaderboard", "check", str(board), "--head", f"2:{head[2:]}"])
    assert other.exit_code == 1 and "it has 1 lines, the head given counts 2" in other.output
    _flip(board / FIRST / "scores/kept@1.parquet")
    edited = runner.invoke(app, ["leaderboard", "check", str(board)])
    assert edited.exit_code == 1 and edited.stdout.splitlines()[1].startswith("10 files, 1 problems")


def test_a_store_without_a_ledger_cannot_be_checked(tmp_path: Path) -> None:
    store = fill(str(tmp_path / "store"))
    with pytest.raises(UsageError, match=r"has no ledger to check it against: .*leaderboard merge"):
        check_board(store.url)
    with pytest.raises(UsageError, match="there is no store"):
        check_board(str(tmp_path / "nowhere"))
