"""A run that is killed, then repeated, ends with the rows of an undisturbed run."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from flowgauge.benchmark.engine.explain import explain_batch
from flowgauge.benchmark.engine.run import run
from flowgauge.benchmark.store.atomic_files import HOST, Files
from flowgauge.benchmark.store.cell import Cell
from flowgauge.benchmark.store.store import Store

METHODS = ("by-position", "drawn")
METRICS = ("token-sum", "against-reference")


ENDED = 2**22 + 1
"""A number that no process has: Linux counts to 2**22."""


class Killed(KeyboardInterrupt):
    """Ends a run at a write, as a kill would; an interrupt, so that nothing takes it for a failed cell."""


@pytest.fixture
def plan(make_plan, plug):
    """Builds the same plan for any store."""
    return lambda store: make_plan(methods=plug(*METHODS), metrics=plug(*METRICS), store=str(store))


def same_rows(one: dict[str, pd.DataFrame], two: dict[str, pd.DataFrame]) -> None:
    assert one.keys() == two.keys() and one
    for name, rows in one.items():
        pd.testing.assert_frame_equal(rows, two[name], check_exact=True)


def test_killed_at_any_write(plan, tmp_path, rows_of, monkeypatch) -> None:
    """Every place where a file is written: before it, and with half of a temporary file left behind."""
    undisturbed = rows_of(run(plan(tmp_path / "whole")))
    write, count = Files.write, 0

    def killing(files: Files, path: str, data: bytes, replace: bool = True) -> str:
        nonlocal count
        count -= 1
        if count == 0:
            folder, _, name = path.rpartition("/")
            Path(folder).mkdir(parents=True, exist_ok=True)
            (Path(folder) / f".{name}.{HOST}.{ENDED}.00000000.tmp").write_bytes(data[: len(data) // 2])
            raise Killed
        return write(files, path, data, replace=replace)

    monkeypatch.setattr(Files, "write", killing)
    store, kills = tmp_path / "killed", 0
    for moment in (1, 2, 3, 3, 2, 4, 3, 2, 2, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2):
        count = moment
        try:
            results = run(plan(store))
        except Killed:
            kills += 1
            continue
        break
    monkeypatch.setattr(Files, "write", write)
    results = run(plan(store))
    assert kills >= 10
    same_rows(rows_of(results), undisturbed)
    assert [r.status for r in Store(str(store)).records()] == ["done"] * 3
    assert not list(store.rglob("sva/**/.*.tmp"))


def test_finished_parts_are_not_computed_again(plan, tmp_path, monkeypatch) -> None:
    explain, done = explain_batch, []

    def noting(model, method, asked, seed):
        done.append((method.name, asked.batch.names))
        if len(done) == 5:
            raise Killed
        return explain(model, method, asked, seed)

    monkeypatch.setattr("flowgauge.benchmark.engine.worker.explain_batch", noting)
    with pytest.raises(Killed):
        run(plan(tmp_path / "store"))
    finished = done[:4]
    run(plan(tmp_path / "store"))
    assert len(done[5:]) == 3 * 3 - 4
    assert not set(finished) & set(done[5:])


def test_damaged_files_are_computed_again(plan, tmp_path, rows_of) -> None:
    results = run(plan(tmp_path / "store"))
    before = rows_of(results)
    for record in results.records:
        folder = Path(results.cell(record).path)
        (folder / "record.json").unlink()
        part, scores = sorted((folder / "explanations").iterdir())[1], next((folder / "scores").iterdir())
        part.write_bytes(part.read_bytes()[:-7])
        scores.write_bytes(scores.read_bytes()[:-7])
    same_rows(rows_of(run(plan(tmp_path / "store"))), before)


def test_resuming_with_another_batch_size_keeps_what_is_done(plan, make_plan, plug, tmp_path, rows_of, monkeypatch) -> None:
    one = rows_of(run(make_plan(methods=plug("drawn"), batch_size=12, store=str(tmp_path / "whole"))))
    part = Cell.write_part
    calls = 0

    def killing(cell: Cell, first: int, new) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise Killed
        part(cell, first, new)

    monkeypatch.setattr(Cell, "write_part", killing)
    with pytest.raises(Killed):
        run(make_plan(methods=plug("drawn"), batch_size=4, store=str(tmp_path / "store")))
    resumed = run(make_plan(methods=plug("drawn"), batch_size=6, store=str(tmp_path / "store")))
    two, whole = rows_of(resumed), run(make_plan(methods=plug("drawn"), batch_size=12, store=str(tmp_path / "whole")))
    assert [(r.instances, r.correct) for r in resumed.records] == [(r.instances, r.correct) for r in whole.records]
    key = ["instance", "variant"]
    for name, rows in one.items():
        pd.testing.assert_frame_equal(rows.sort_values(key, ignore_index=True), two[name].sort_values(key, ignore_index=True))
