"""The functions that compute cells, with results that a notebook shows."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from pathlib import Path

import pytest

import flowgauge
from flowgauge.benchmark.engine import rescore as engine_rescore
from flowgauge.benchmark.engine import run as engine_run
from flowgauge.benchmark.external import importer
from flowgauge.benchmark.store.results import RunRecords
from flowgauge.display import runs

PLUGINS = Path(__file__).parents[1] / "benchmark" / "plugins.py"


@pytest.mark.parametrize(
    ("shown", "engine"),
    [
        (runs.run, engine_run.run),
        (runs.rescore, engine_rescore.rescore),
        (runs.import_explanations, importer.import_explanations),
    ],
)
def test_they_take_what_the_engine_takes(shown, engine):
    ours, theirs = (inspect.signature(function).parameters for function in (shown, engine))
    assert list(ours) == list(theirs)
    assert {n: p.default for n, p in ours.items() if n != "quiet"} == {n: p.default for n, p in theirs.items() if n != "quiet"}
    assert ours["quiet"].default is None


def test_a_run_and_a_rescoring_return_results(tiny_folder: Callable[..., Path], tmp_path):
    store = str(tmp_path / "store")
    fields = {"tasks": "sva/obj", "limit": 4, "model": str(tiny_folder()), "device": "cpu", "store": store}
    results = flowgauge.run(methods=[f"{PLUGINS}:by-position"], metrics=[f"{PLUGINS}:token-sum"], **fields)
    assert type(results) is flowgauge.Results and results.metrics == ["token-sum"] and results.exit_code == 0
    assert len(results.explanations("by-position")) == 4
    again = flowgauge.rescore(store, ["completeness_error"])
    assert type(again) is flowgauge.Results and set(again.metrics) == {"token-sum", "completeness_error"}


@pytest.mark.parametrize(("notebook", "quiet", "expected"), [(True, None, False), (False, None, True), (True, True, True)])
def test_progress_is_shown_in_notebooks_unless_asked_not_to(monkeypatch, notebook, quiet, expected):
    given = []

    def run_plan(plan, *, quiet, **others):
        given.append(quiet)
        return RunRecords("s", ())

    monkeypatch.setattr(runs, "in_notebook", lambda: notebook)
    monkeypatch.setattr(runs, "run_plan", run_plan)
    assert runs.run(quiet=quiet) == flowgauge.Results("s", ())
    assert given == [expected]
