"""Packing a store into a bundle, and reading the manifest of one."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from flowgauge.benchmark.store.record import Record
from flowgauge.benchmark.store.store import Store
from flowgauge.benchmark.verification.recompute_scores import ScoreRecomputer
from flowgauge.cli import app
from flowgauge.core.errors import UsageError
from flowgauge.leaderboards.submission.board import merge
from flowgauge.leaderboards.submission.bundle import BadBundle, pack, private_copy, read_manifest
from flowgauge.leaderboards.submission.verify import VerificationReport, verify

from ..forged import cell, edit_json, problems, resign


def test_wrong_sums_are_caught(bundle: Path) -> None:
    path = next(cell(bundle).glob("explanations/*"))
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    with pytest.raises(BadBundle, match="another sha256"):
        verify(bundle)


def test_newer_schemas_are_refused(bundle: Path) -> None:
    edit_json(cell(bundle) / "record.json", lambda data: data | {"schema_version": 99})
    resign(bundle)
    assert "has schema 99" in problems(bundle)
    edit_json(bundle / "manifest.json", lambda data: data | {"schema_version": 99})
    with pytest.raises(BadBundle, match="schema 99, this flowgauge reads up to 1"):
        verify(bundle)


def test_a_copy_stays_as_it_is_while_the_bundle_changes(bundle: Path) -> None:
    record = cell(bundle) / "record.json"
    before = record.read_bytes()
    with private_copy(bundle) as copy:
        record.write_text("{}")
        assert (copy.folder / record.relative_to(bundle)).read_bytes() == before
        assert copy.folder.stat().st_mode & 0o077 == 0 and not (copy.folder / "manifest.json").exists()
        assert {p.relative_to(copy.folder).as_posix() for p in copy.folder.rglob("*.*") if p.is_file()} == set(
            copy.manifest.files
        )
    assert not copy.folder.exists()


def test_what_is_merged_is_what_was_verified(bundle: Path, tmp_path: Path) -> None:
    """The bundle is rewritten after its scores were recomputed, before its cells are copied."""
    record = cell(bundle) / "record.json"

    def rewrite(store: Store, checked: VerificationReport) -> VerificationReport:
        edit_json(record, lambda data: data | {"correct": 0, "files": {**data["files"], "../../../../../evil.json": "0" * 64}})
        (tmp_path / "evil.json").write_text("evil")
        return checked

    before = record.read_bytes()
    board = tmp_path / "inner" / "board"
    merge(bundle, str(board), ScoreRecomputer(device="cpu"), sample=1, further=[rewrite])
    assert (board / record.relative_to(bundle / "cells")).read_bytes() == before != record.read_bytes()
    assert not [*(tmp_path / "inner").glob("*.json")]


def test_what_is_no_bundle_says_what_to_do(tmp_path: Path) -> None:
    call = lambda folder: CliRunner().invoke(app, ["leaderboard", "verify", str(folder)])  # noqa: E731
    missing, empty = call(tmp_path / "nope"), call(tmp_path)
    assert missing.exit_code == empty.exit_code == 2
    assert "there is no folder" in missing.stderr and "name one that `flowgauge leaderboard submit` wrote" in missing.stderr
    assert "`flowgauge leaderboard submit STORE --out BUNDLE --name YOU` packs the cells of a store into one" in empty.stderr


def test_an_unfinished_store_and_a_used_folder_are_refused(tmp_path: Path, honest: Path) -> None:
    with pytest.raises(UsageError, match="already and not empty"):
        pack(str(honest.parent / "store"), honest, "me")
    with pytest.raises(UsageError, match="did you mean integrated-gradients"):
        pack(str(honest.parent / "store"), tmp_path / "new", "me", methods=["integrated-gradient"])
    with pytest.raises(UsageError, match="cannot be described"):
        pack(str(honest.parent / "store"), tmp_path / "new", "")
    assert not (tmp_path / "new").exists() and not list(tmp_path.iterdir())


def test_only_what_is_asked_for_is_packed(tmp_path: Path, honest: Path) -> None:
    pack(str(honest.parent / "store"), tmp_path / "new", "me", methods=["integrated-gradients"])
    (record,) = verify(tmp_path / "new").records
    assert isinstance(record, Record) and record.method == "integrated-gradients"
    assert "influence-patterns" in "\n".join(p.what for p in verify(tmp_path / "new", ScoreRecomputer(device="cpu")).problems)


def test_the_cells_of_a_plan_are_packed_and_no_others(tmp_path: Path, honest: Path) -> None:
    store, plan = str(honest.parent / "store"), tmp_path / "plan.yaml"
    asked = {"tasks": ["sva/obj"], "metrics": ["ablated_accuracy"], "limit": 8, "device": "cpu"}
    call = lambda out: CliRunner().invoke(  # noqa: E731
        app, ["leaderboard", "submit", store, "--out", str(tmp_path / out), "--name", "me", "--plan", str(plan)]
    )
    plan.write_text(json.dumps({**asked, "methods": ["influence-patterns"]}))
    assert call("new").exit_code == 0
    assert [record.method for record in verify(tmp_path / "new").records] == ["influence-patterns"]
    plan.write_text(json.dumps({**asked, "methods": ["integrated-gradients:samples=4"]}))
    assert call("with-reference").exit_code == 0
    assert {record.method for record in verify(tmp_path / "with-reference").records} == {
        "integrated-gradients", "influence-patterns"
    }  # fmt: skip
    plan.write_text(json.dumps({**asked, "methods": ["integrated-gradients:samples=5", "influence-patterns"]}))
    refused = call("more")
    assert refused.exit_code == 2 and "1 cells of the plan are not finished" in refused.stderr
    assert f"flowgauge run PLAN --store {store}" in "".join(refused.stderr.split("\n")) and not (tmp_path / "more").exists()


def test_a_bundle_has_a_name_and_a_place(honest: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = str(honest.parent / "store")
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="choose another --out"):
        pack(store, tmp_path / "file" / "bundle", "a tester")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="does not name a folder"):
        pack(store, ".", "a tester")
    assert os.listdir(tmp_path) == ["file"]


def test_a_cut_manifest_is_said_in_words_and_a_damaged_cell_is_not_packed(bundle: Path, honest: Path, tmp_path: Path) -> None:
    path = bundle / "manifest.json"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(BadBundle, match=r"manifest.json is not a manifest: it is cut or damaged. Copy the bundle again"):
        read_manifest(bundle)
    store = Path(shutil.copytree(honest.parent / "store", tmp_path / "store"))
    part = next(store.rglob("*.safetensors"))
    part.write_bytes(part.read_bytes()[:-1])
    with pytest.raises(UsageError, match=r"safetensors has \d+ bytes of \d+, so that nothing is packed. `flowgauge run"):
        pack(str(store), tmp_path / "packed", "a tester")
    assert not (tmp_path / "packed").exists()
