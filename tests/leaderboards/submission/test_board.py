"""Boards: what enters and leaves, what the ledger keeps, and the way from a run to a published page."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path

import fsspec
import pytest
from typer.testing import CliRunner

from flowgauge.benchmark.engine.run import run
from flowgauge.benchmark.store.atomic_files import HOST
from flowgauge.benchmark.store.damage import LEDGER
from flowgauge.benchmark.store.listing import write_listing
from flowgauge.benchmark.store.store import Store
from flowgauge.benchmark.verification.recompute_scores import ScoreRecomputer
from flowgauge.cli import app
from flowgauge.core.errors import UsageError
from flowgauge.leaderboards.submission.board import merge, name_of, publish, withdraw
from flowgauge.leaderboards.submission.bundle import BadBundle, pack
from flowgauge.leaderboards.submission.ledger import read_ledger, trusted
from flowgauge.leaderboards.submission.verify import verify
from flowgauge.tasks.agreement import capacity
from flowgauge.tasks.lexicon import templates

from ..forged import cell, edit_rows, flip, resign
from .tamperings.edits import planted_training

ALL = capacity(templates()["sva/obj"], "SP")
"""Sentences of a condition: with all of them in `test`, the task has no train split."""


def test_a_verified_bundle_enters_and_the_ledger_says_so(honest: Path, tmp_path: Path) -> None:
    board = str(tmp_path / "board")
    event = merge(honest, board, ScoreRecomputer(device="cpu"), sample=2, why="first")
    assert event.trust == "re-scored" and event.who == "a tester" and len(event.cells) == 2
    ours, theirs = Store(board), Store(str(honest.parent / "store"))
    assert {name_of(r) for r in ours.records()} == {name_of(r) for r in theirs.records()} == set(event.cells)
    for record in theirs.records():
        assert ours.find(record).sums() == record.files
    assert trusted(read_ledger(ours)) == dict.fromkeys(event.cells, "re-scored")


def test_what_was_not_recomputed_is_well_formed_unless_a_maintainer_vouches(honest: Path, tmp_path: Path) -> None:
    assert merge(honest, str(tmp_path / "one")).trust == "well-formed"
    assert merge(honest, str(tmp_path / "two"), trust="maintained").trust == "maintained"
    assert (
        merge(honest, str(tmp_path / "three"), ScoreRecomputer(device="cpu"), sample=1, trust="well-formed").trust == "re-scored"
    )


def test_a_bundle_with_problems_stays_out(honest: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(honest, tmp_path / "copy"))
    edit_rows(cell(copy), flip)
    resign(copy)
    with pytest.raises(BadBundle, match=r"recomputed rows differ .* \(1 problems in all\)"):
        merge(copy, str(tmp_path / "board"), ScoreRecomputer(device="cpu"))
    assert not (tmp_path / "board" / LEDGER).exists()


def test_other_numbers_do_not_replace_what_is_trusted_as_much(honest: Path, tmp_path: Path) -> None:
    board = str(tmp_path / "board")
    merge(honest, board)
    copy = Path(shutil.copytree(honest, tmp_path / "copy"))
    edit_rows(cell(copy), flip)
    resign(copy)
    assert not verify(copy).problems, "by form alone it cannot be told"
    with pytest.raises(UsageError, match="already with other numbers, as well-formed"):
        merge(copy, board)
    merge(honest, board, why="again, the same")
    assert len(read_ledger(Store(board))) == 2


def test_cells_leave_with_a_reason(honest: Path, tmp_path: Path) -> None:
    board = str(tmp_path / "board")
    first, second = merge(honest, board).cells
    withdraw(board, [first], "a bug in the method", who="me")
    assert [name_of(r) for r in Store(board).records()] == [second]
    assert set(trusted(read_ledger(Store(board)))) == {second}
    with pytest.raises(UsageError, match="has no cell"):
        withdraw(board, [first], "twice")
    with pytest.raises(UsageError, match="say why"):
        withdraw(board, [second], " ")


def test_cells_leave_by_pattern(honest: Path, tmp_path: Path) -> None:
    board = str(tmp_path / "board")
    merge(honest, board)
    assert len(withdraw(board, ["*/sva/obj/influence-*"], "made anew").cells) == 1
    assert len(withdraw(board, ["*"], "made anew").cells) == 1 and not Store(board).records()


def test_a_board_may_keep_scores_alone(honest: Path, tmp_path: Path) -> None:
    """Nothing is lost in silence: records list what is not there, and whoever needs it is told."""
    board = str(tmp_path / "board")
    merge(honest, board, ScoreRecomputer(device="cpu"), sample=1, explanations=0, trust="maintained")
    store = Store(board)
    for record in store.records():
        cell = store.find(record)
        assert not cell.part_names() and "explanations/00000.safetensors" in record.files
        assert all(len(cell.rows(metric)) for metric in record.scores)
    with pytest.raises(UsageError, match=r"explanations/00000\.safetensors is missing"):
        pack(board, tmp_path / "again", "me")
    events = len(read_ledger(store))
    told = CliRunner().invoke(app, ["leaderboard", "rescore", board, "--metric", "loo_correlation", "--device", "cpu"])
    assert told.exit_code == 1 and told.stderr.count("some of its explanations are missing") == 2
    assert "0 cells scored again" in told.stdout and len(read_ledger(store)) == events
    assert {r.status for r in store.records()} == {"done"}
    copy = Path(shutil.copytree(honest, tmp_path / "copy"))
    for part in copy.glob("cells/**/*.safetensors"):
        part.unlink()
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["files"] = {name: kept for name, kept in manifest["files"].items() if not name.endswith(".safetensors")}
    (copy / "manifest.json").write_text(json.dumps(manifest))
    said = {problem.what for problem in verify(copy).problems}
    assert said == {"1 of the files that its record lists are not in it, first explanations/00000.safetensors."}


def test_a_method_that_does_not_apply_enters_with_its_reason(honest: Path, tmp_path: Path) -> None:
    source = str(honest.parent / "unfit")
    run(
        tasks=f"sva/obj:sentences={ALL}", methods=["diffmask-input", "saliency"], metrics=["sufficiency"], limit=4, store=source,
        device="cpu",
    )  # fmt: skip
    pack(source, tmp_path / "bundle", "me")
    event = merge(tmp_path / "bundle", str(tmp_path / "board"), ScoreRecomputer(device="cpu"), sample=2)
    assert event.trust == "re-scored" and len(event.cells) == 2
    record = next(r for r in Store(str(tmp_path / "board")).records() if r.method == "diffmask-input")
    assert record.status == "not-applicable" and "has no split 'train'" in record.error
    path = cell(tmp_path / "bundle", "diffmask-input") / "record.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"error": ""}))
    resign(tmp_path / "bundle")
    (problem,) = verify(tmp_path / "bundle").problems
    assert "not applicable, but has" in problem.what


def test_a_metric_added_later_scores_every_entry(honest: Path, tmp_path: Path) -> None:
    board = str(tmp_path / "board")
    merge(honest, board, trust="maintained")
    result = CliRunner().invoke(app, ["leaderboard", "rescore", board, "--metric", "loo_correlation", "--device", "cpu"])
    assert result.exit_code == 0, result.output
    assert "2 cells scored again" in result.stdout
    assert all("loo_correlation@1" in record.scores for record in Store(board).records())
    last = read_ledger(Store(board))[-1]
    assert (last.action, last.trust, last.why) == ("re-scored", "maintained", "loo_correlation")


def test_a_site_is_published_anywhere(tmp_path: Path) -> None:
    site = tmp_path / "site"
    (site / "data").mkdir(parents=True)
    (site / "index.html").write_text("<p>hello")
    (site / "data" / "all.json").write_text("{}")
    write_listing(site)
    assert publish(site, str(tmp_path / "there")) == 3
    assert (tmp_path / "there" / "data" / "all.json").read_text() == "{}"
    assert publish(site, "memory://board/site") == 3
    assert fsspec.filesystem("memory").cat("/board/site/index.html") == b"<p>hello"
    with pytest.raises(UsageError, match=r"has no index\.html"):
        publish(tmp_path, "memory://x")
    with pytest.raises(UsageError, match="cannot publish to 'nowhere://x'"):
        publish(site, "nowhere://x")
    (site / "data" / "all.json").write_text("{")
    with pytest.raises(UsageError, match=r"the site is not whole: .*all.json is damaged: .*leaderboard build STORE --out"):
        publish(site, str(tmp_path / "cut"))
    (site / "files.json").unlink()
    with pytest.raises(UsageError, match=r"the site is not whole: .* has no whole list of its files"):
        publish(site, str(tmp_path / "cut"))
    assert not (tmp_path / "cut").exists()


def test_the_whole_way_on_the_command_line(honest: Path, tmp_path: Path) -> None:
    store, bundle, board = (str(p) for p in (honest.parent / "store", tmp_path / "bundle", tmp_path / "board"))
    call = lambda *words: CliRunner().invoke(app, ["leaderboard", *words])  # noqa: E731
    made = call("submit", store, "--out", bundle, "--name", "me")
    assert made.exit_code == 0 and "2 cells" in made.stdout, made.output
    seen = call("verify", bundle, "--sample", "2", "--device", "cpu")
    assert seen.exit_code == 0 and "2 cells are re-scored" in seen.stdout, seen.output
    assert "2 cells entered" in call("merge", bundle, board, "--form-only").stdout
    told = call("ledger", board).stdout
    assert "entered, well-formed by me" in told and told.count("agreement-bert/sva/obj/") == 2
    resigned = Path(bundle)
    edit_rows(cell(resigned), flip)
    resign(resigned)
    caught = call("verify", bundle, "--device", "cpu")
    assert caught.exit_code == 1 and "recomputed rows differ" in caught.stdout
    wrong = call("merge", bundle, board, "--trust", "blindly")
    assert wrong.exit_code == 2 and "no level of trust" in wrong.stderr
    manifest = Path(bundle) / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"kind": "other"}))
    broken = call("verify", bundle)
    assert broken.exit_code == 1 and len(broken.stderr.strip().splitlines()) == 1


def test_a_training_that_the_board_has_is_kept(honest: Path, tmp_path: Path) -> None:
    bundle, board = Path(shutil.copytree(honest, tmp_path / "bundle")), tmp_path / "board"
    theirs = planted_training(bundle, method="integrated-gradients")
    ours = board / "fits" / theirs.name
    ours.mkdir(parents=True)
    (ours / "fit.json").write_text("ours")
    resign(bundle)
    merge(bundle, str(board))
    assert (ours / "fit.json").read_text() == "ours" and (ours / "weights.safetensors").read_bytes() == b"weights"


def test_a_secret_that_was_not_committed_to_does_not_stay(tmp_path: Path) -> None:
    (tmp_path / "board").mkdir()
    (tmp_path / "board" / LEDGER).write_text("{}\n")
    call = ["leaderboard", "commit-seed", str(tmp_path / "board"), "--out", str(tmp_path / "secret")]
    result = CliRunner().invoke(app, call)
    assert result.exit_code and "restore an undamaged copy" in result.output and not (tmp_path / "secret").exists()


def test_what_was_found_out_about_a_cell_stays(honest: Path, tmp_path: Path) -> None:
    board = tmp_path / "board"
    merge(honest, str(board), trust="maintained")
    kept = {path.relative_to(board): path.read_bytes() for path in board.rglob("*") if path.is_file()}
    with pytest.raises(UsageError, match="trusts each more than this verification would"):
        merge(honest, str(board), explanations=0)
    assert kept == {path.relative_to(board): path.read_bytes() for path in board.rglob("*") if path.is_file()}


def test_the_same_scores_of_another_time_are_another_cell(honest: Path, tmp_path: Path) -> None:
    bundle, board = Path(shutil.copytree(honest, tmp_path / "bundle")), str(tmp_path / "board")
    merge(honest, board)
    path = cell(bundle) / "record.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"finished": "2020-01-01"}))
    resign(bundle)
    with pytest.raises(UsageError, match="already with other numbers"):
        merge(bundle, board)


def test_what_is_missing_or_in_the_way_is_said(honest: Path, tmp_path: Path) -> None:
    shown = CliRunner().invoke(app, ["leaderboard", "ledger", str(tmp_path / "nowhere")])
    assert shown.exit_code == 2 and "has no ledger" in shown.output
    (tmp_path / "file").write_text("")
    call = ["leaderboard", "exchange", str(honest.parent / "store"), "--out", str(tmp_path / "file")]
    shown = CliRunner().invoke(app, call)
    assert shown.exit_code == 2 and "choose another folder with --out" in shown.output


def test_on_a_full_disk_merge_and_publish_say_so_in_a_line_and_the_same_call_ends_them(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    site, board, calls = tmp_path / "site", tmp_path / "board", []
    site.mkdir()
    for name in ("index.html", "a.html", "b.html"):
        (site / name).write_text(name)
    write_listing(site)

    def full(descriptor: int) -> None:
        calls.append(descriptor)
        if len(calls) == 3:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UsageError, match=r"cannot write the store .*: no space is left on the disk; what is stored is whole"):
        merge(bundle, str(board))
    merge(bundle, str(board))
    (board / "ledger.head").unlink()  # as where a merge is killed at the first event
    left = Path(next(board.rglob("record.json")).parent, f".record.json.{HOST}.{2**22 + 1}.00000000.tmp")
    left.touch()
    assert read_ledger(Store(str(board)))
    assert len(Store(str(board)).records()) == 2 and len(read_ledger(Store(str(board)))) == 1
    merge(bundle, str(board))
    assert (board / "ledger.head").is_file() and not left.exists()
    calls.clear()
    with pytest.raises(UsageError, match=r"cannot publish to .*: No space left on device; the site in .* is whole, and the same"):
        publish(site, str(tmp_path / "there"))
    assert publish(site, str(tmp_path / "there")) == 4
    assert not list(tmp_path.rglob("*.tmp"))
