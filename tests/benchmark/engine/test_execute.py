"""A run that is killed, then repeated, ends with the rows of an undisturbed run."""

from __future__ import annotations

import subprocess
import sys
import textwrap
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


class Killed(BaseException):
    """Ends a run at a write, as a kill would; not an Exception, so that nothing takes it for a failed cell."""


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


CHILD = (
    textwrap.dedent(
        """
    import os, random, signal, sys, time
    import torch
    torch.set_num_threads(1)
    from flowgauge.benchmark.engine import worker as work
    from flowgauge.benchmark.engine.plan import Plan
    from flowgauge.benchmark.engine.run import run

    explain = work.explain_batch
    def slow(*given):
        time.sleep(0.02)
        return explain(*given)
    work.explain_batch = slow

    model, store, plugins = sys.argv[1:]
    def go(name):
        methods, metrics = ([f"{plugins}:{n}" for n in names] for names in (METHODS, METRICS))
        run(Plan.make(model=model, tasks="sva/obj", methods=methods, metrics=metrics, limit=24, batch_size=2, device="cpu",
                      store=f"{store}/{name}"))

    def files():
        return sum(len(names) for _, _, names in os.walk(f"{store}/killed"))

    def ended(child):
        return os.waitpid(child, os.WNOHANG) != (0, 0)

    go("whole")
    generator, killed = random.Random(0), 0
    for _ in range(6):
        wanted, child = files() + generator.randint(1, 6), os.fork()
        if child == 0:
            go("killed")
            os._exit(0)
        over = False
        while files() < wanted and not over:
            time.sleep(0.002)
            over = ended(child)
        time.sleep(generator.uniform(0, 0.03))
        if not over and not ended(child):
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            killed += 1
    go("killed")
    print("killed", killed)
    """
    )
    .replace("METHODS", repr(METHODS))
    .replace("METRICS", repr(METRICS))
)


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork and SIGKILL")
def test_killed_at_random_moments(tiny_model, tmp_path, plug) -> None:
    """Real SIGKILLs at six moments, then the same run to its end."""
    plugins = plug("")[0].rstrip(":")
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(tiny_model), str(tmp_path), plugins], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) == 6, "the runs ended before they could be killed"
    whole, killed = Store(str(tmp_path / "whole")), Store(str(tmp_path / "killed"))
    records = whole.records()
    assert len(records) == 3 and [r.cell for r in killed.records()] == [r.cell for r in records]
    for record in records:
        for metric in record.scores:
            one, two = whole.find(record).rows(metric), killed.find(record).rows(metric)
            pd.testing.assert_frame_equal(one, two, check_exact=True)
