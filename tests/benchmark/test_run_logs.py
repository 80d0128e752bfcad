"""Trackers get the scores of every computed cell once; a missing or failing one is said in one line."""

from __future__ import annotations

import importlib.util
import logging
import sys
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

import flowgauge
from flowgauge.benchmark import run_logs
from flowgauge.benchmark.run_logs import TRACKERS, numbers, run_log
from flowgauge.core.errors import UnknownName, UsageError

PLAN = {"tasks": "sva/obj", "methods": ["leave-one-out"], "metrics": ["pointing"], "limit": 4}


class FakeMlflow(SimpleNamespace):
    """Notes what it is told, with the arguments of mlflow's functions that are used."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []
        super().__init__()

    def set_experiment(self, experiment_name: str) -> None:
        self.told.append(("experiment", experiment_name))

    def start_run(self, *, run_name: str) -> Any:
        self.told.append(("run", run_name))
        return nullcontext()

    def log_params(self, params: dict[str, Any]) -> None:
        self.told.append(("params", params))

    def log_metrics(self, metrics: dict[str, float]) -> None:
        self.told.append(("metrics", metrics))


class FakeTrackio(SimpleNamespace):
    """Notes what it is told, with the arguments of trackio's functions that are used; it prints, as trackio does."""

    def __init__(self) -> None:
        self.told: list[tuple[str, Any]] = []
        super().__init__()

    def init(self, project: str, name: str, config: Any, *, auto_log_gpu: bool, auto_log_cpu: bool, embed: bool) -> None:
        print("* Trackio project initialized")
        self.told += [("experiment", project), ("run", name), ("params", config)]

    def log(self, metrics: dict[str, float]) -> None:
        self.told.append(("metrics", metrics))

    def finish(self) -> None:
        self.told.append(("finish", None))


@pytest.mark.parametrize(("tracker", "fake"), [("mlflow", FakeMlflow), ("trackio", FakeTrackio)])
def test_a_tracker_gets_every_computed_cell_once(
    tracker: str, fake: type, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    module = fake()
    monkeypatch.setattr(run_logs, "import_module", {tracker: module}.__getitem__)
    (record,) = flowgauge.run(log=tracker, store=str(tmp_path), **PLAN).records
    told = dict(module.told)
    assert told["experiment"] == "flowgauge" and told["run"].startswith("agreement-bert sva/obj leave-one-out-")
    assert (told["params"]["method"], told["params"]["settings.baseline"]) == ("leave-one-out", "mask")
    hit = record.scores["pointing@1"].aggregate("hit")
    assert told["metrics"]["pointing/hit"] == hit.value and told["metrics"]["instances"] == 4
    assert "Trackio" not in capsys.readouterr().out
    count = len(module.told)
    flowgauge.run(log=tracker, store=str(tmp_path), **PLAN)
    assert len(module.told) == count, "a stored cell is not sent again"


def test_undefined_numbers_are_left_out(tmp_path: Path) -> None:
    (record,) = flowgauge.run(store=str(tmp_path), **{**PLAN, "limit": 1}).records
    sent = numbers(record)
    assert sent["instances"] == 1 and "pointing/hit" in sent and "pointing/hit/low" not in sent


def test_a_tracker_that_fails_does_not_stop_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    module = FakeMlflow()
    monkeypatch.setattr(module, "log_metrics", lambda metrics: 1 / 0, raising=False)
    monkeypatch.setattr(run_logs, "import_module", {"mlflow": module}.__getitem__)
    with caplog.at_level(logging.WARNING):
        results = flowgauge.run(log="mlflow", store=str(tmp_path), **{**PLAN, "tasks": ["sva/obj", "ra/na"]})
    assert [record.status for record in results.records] == ["done", "done"]
    assert [record.getMessage() for record in caplog.records if "mlflow" in record.getMessage()] == [
        "mlflow took no scores, and gets no further ones: division by zero"
    ]


@pytest.mark.parametrize("tracker", TRACKERS)
def test_a_tracker_that_is_missing_is_named_before_anything_is_computed(
    tracker: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, tracker, None)
    with pytest.raises(UsageError, match=rf"pip install 'flowgauge\[{tracker}\]'"):
        flowgauge.run(log=tracker, store=str(tmp_path / "store"), **PLAN)
    assert not (tmp_path / "store").exists()


def test_an_unknown_tracker_is_refused() -> None:
    with pytest.raises(UnknownName, match="did you mean mlflow"):
        run_log("mlfow")


@pytest.mark.skipif(not importlib.util.find_spec("trackio"), reason="trackio is not installed")
def test_trackio_itself_stores_the_scores(tmp_path: Path) -> None:
    code = """
import sys, flowgauge
from trackio.sqlite_storage import SQLiteStorage
flowgauge.run(tasks="sva/obj", methods=["leave-one-out"], metrics=["pointing"], limit=4, store=sys.argv[1], log="trackio")
(run,) = SQLiteStorage.get_runs("flowgauge")
print("pointing/hit" in SQLiteStorage.get_logs("flowgauge", run)[0])
"""
    assert in_a_new_process(code, tmp_path, TRACKIO_DIR=str(tmp_path / "trackio")) == "True"


@pytest.mark.skipif(not importlib.util.find_spec("mlflow"), reason="mlflow is not installed")
def test_mlflow_itself_stores_the_scores(tmp_path: Path) -> None:
    code = """
import sys, flowgauge, mlflow
flowgauge.run(tasks="sva/obj", methods=["leave-one-out"], metrics=["pointing"], limit=4, store=sys.argv[1], log="mlflow")
client = mlflow.MlflowClient()
(run,) = client.search_runs([client.get_experiment_by_name("flowgauge").experiment_id])
print("pointing/hit" in run.data.metrics and run.data.params["method"] == "leave-one-out")
"""
    where = {"MLFLOW_TRACKING_URI": (tmp_path / "mlruns").as_uri(), "MLFLOW_ALLOW_FILE_STORE": "true"}
    assert in_a_new_process(code, tmp_path, **where) == "True"


def in_a_new_process(code: str, folder: Path, **environment: str) -> str:
    """The last line that Python prints; trackers keep threads and settings that tests should not share."""
    import os
    import subprocess

    env = {**os.environ, "PYTHONPATH": ":".join(sys.path), **environment}
    done = subprocess.run([sys.executable, "-c", code, str(folder / "store")], capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]
