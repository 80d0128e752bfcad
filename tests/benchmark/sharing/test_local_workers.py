"""Processes on this machine compute what one computes, each share once, whoever dies."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.benchmark.conftest import PLUGINS

from flowgauge.benchmark.engine.run import run
from flowgauge.benchmark.store.store import Store
from flowgauge.core.errors import FlowgaugeError, UsageError


@pytest.fixture
def counted(tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """A method that notes whom it explains."""
    return lambda **settings: {"name": f"{PLUGINS}:counted", "log": str(tmp_path / "log"), **settings}


def explained(tmp_path: Path) -> Counter[str]:
    """How often each instance was explained."""
    return Counter(line.split()[1] for line in (tmp_path / "log").read_text().splitlines())


@pytest.fixture
def by_one(make_plan, counted, tmp_path) -> Counter[str]:
    """How often one process explains each instance: those that the model gets wrong also for the predicted answer."""
    run(make_plan(methods=counted(), batch_size=1, store=str(tmp_path / "by-one")))
    times = explained(tmp_path)
    (tmp_path / "log").unlink()
    assert set(times.values()) == {1, 2} and len(times) == 12
    return times


def test_two_processes_compute_what_one_computes_and_nothing_twice(make_plan, plug, rows_of, counted, tmp_path) -> None:
    methods = [counted(pause=0.2), *plug("by-position", "drawn"), f"{PLUGINS}:amortised"]
    fields = {"tasks": f"{PLUGINS}:splits", "methods": methods, "seeds": [0, 1], "batch_size": 3}
    alone = rows_of(run(make_plan(**fields, store=str(tmp_path / "alone"))))
    times = explained(tmp_path)
    (tmp_path / "log").unlink()
    shared = run(make_plan(**fields), workers=2)
    rows = rows_of(shared)
    assert rows.keys() == alone.keys() and all(rows[cell].equals(table) for cell, table in alone.items())
    assert explained(tmp_path) == times
    assert {record.status for record in shared.records} == {"done"} and not (tmp_path / "store" / "claims").exists()


def test_a_worker_that_dies_is_replaced(make_plan, counted, by_one, tmp_path) -> None:
    results = run(make_plan(methods=counted(dies=str(tmp_path / "died")), batch_size=1), workers=2)
    assert (tmp_path / "died").exists() and results.records[0].status == "done" and results.records[0].instances == 12
    assert (explained(tmp_path) - by_one).total() == 1, "what the dead worker was at is done again, and nothing else"


def test_two_runs_on_one_store_do_nothing_twice(make_plan, counted, by_one, tmp_path) -> None:
    plan = make_plan(methods=counted(pause=0.3), batch_size=1)
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(_as_file(plan, counted(pause=0.3))))
    runs = [_start(tmp_path, "-q") for _ in range(2)]
    assert [each.wait(120) for each in runs] == [0, 0]
    processes = {line.split()[0] for line in (tmp_path / "log").read_text().splitlines()}
    assert explained(tmp_path) == by_one and len(processes) == 2


def test_a_run_whose_driver_is_killed_goes_on(make_plan, counted, by_one, tmp_path) -> None:
    method = counted(pause=0.5)
    plan = make_plan(methods=method, batch_size=1)
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(_as_file(plan, method)))
    driver = _start(tmp_path, "-q", "--workers", "2")
    _wait_until(lambda: len(list((tmp_path / "store").rglob("*.safetensors"))) >= 2)
    driver.send_signal(signal.SIGKILL)
    driver.wait(20)
    workers = {int(line.split()[0]) for line in (tmp_path / "log").read_text().splitlines()}
    _wait_until(lambda: not any(_is_alive(worker) for worker in workers))
    results = run(plan, workers=2)
    assert results.records[0].status == "done" and len(Store(plan.store).records()) == 1
    again = explained(tmp_path) - by_one
    assert len(explained(tmp_path)) == 12 and len(again) <= 2, "a share that each worker was at, at most"


def test_what_a_worker_refuses_is_said_as_by_one_process(make_plan) -> None:
    with pytest.raises(UsageError, match="1000"):
        run(make_plan(device="cuda:1000"), workers=2)


def test_one_device_is_used_and_a_finished_plan_starts_nobody(make_plan, monkeypatch) -> None:
    started = list[object]()
    monkeypatch.setattr("flowgauge.benchmark.sharing.spread.spread", lambda *_, **options: started.append(options["devices"]))
    plan = make_plan()
    with pytest.raises(FlowgaugeError, match="1 cells are not in"):
        run(plan, devices="cpu")
    run(plan)
    run(plan, devices=["cpu"], workers=2)
    assert started == [("cpu",)]


def test_a_failed_cell_is_failed_and_a_metric_that_fails_is_partial_by_two_workers_too(make_plan, plug) -> None:
    methods, metrics = plug("unlucky", "by-position"), plug("broken", "token-sum")
    alone = run(make_plan(methods=methods, metrics=metrics))
    shared = run(make_plan(methods=methods, metrics=metrics, store=f"{make_plan().store}-shared"), workers=2)
    assert [(r.method, r.status, r.error) for r in shared.records] == [(r.method, r.status, r.error) for r in alone.records]
    assert {r.status for r in shared.records} == {"failed", "partial"}


def _as_file(plan: Any, method: dict[str, Any]) -> dict[str, Any]:
    """A plan as its file has it."""
    names = ("model", "limit", "batch_size", "device", "store")
    return {
        **{name: getattr(plan, name) for name in names}, "tasks": ["sva/obj"], "methods": [method],
        "metrics": [f"{PLUGINS}:token-sum"],
    }  # fmt: skip


def _start(folder: Path, *options: str) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", "from flowgauge.cli import main; main()", "run", str(folder / "plan.yaml"), *options]
    return subprocess.Popen(command, env={**os.environ, "PYTHONPATH": ":".join(sys.path)})


def _wait_until(is_so: Callable[[], bool], seconds: float = 60.0) -> None:
    ends = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < ends, "it took too long"
        time.sleep(0.05)


def _is_alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return "\nState:\tZ" not in Path(f"/proc/{process}/status").read_text()
