"""One batch explained: what a method may return, and what it costs."""

from __future__ import annotations

import sys
from importlib.util import find_spec
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import flowgauge
from flowgauge.benchmark.engine.explain import warm_up
from flowgauge.benchmark.engine.run import run
from flowgauge.methods.registry import METHODS
from flowgauge.tasks.registry import load_task


def test_faulty_methods_fail_alone(make_plan, plug) -> None:
    names = ("not-a-number", "too-few", "too-long", "not-a-list", "unlucky", "choosy", "by-position")
    results = run(make_plan(methods=plug(*names)))
    found = {r.method: (r.status, r.error) for r in results.records}
    assert results.exit_code == 1
    assert found["by-position"] == ("done", "")
    assert found["choosy"] == ("not-applicable", "this model has no recurrence")
    assert found["unlucky"][1].startswith("out of luck on two lines (plugins.py, line ")
    assert "'tokens' has 1 of 11 values that are NaN" in found["not-a-number"][1]
    assert "returned 4 explanations for 5 instances" in found["too-few"][1]
    assert "has shape (12,), expected (11,)" in found["too-long"][1]
    assert "must return a list of Explanation, got Tensor" in found["not-a-list"][1]
    assert {found[name][0] for name in names[:5]} == {"failed"}
    frame = results.to_pandas().set_index("method")
    assert frame.loc["unlucky", "status"] == "failed"
    assert np.isnan(frame.loc["choosy", "value"])


def test_shared_work_is_charged(make_plan, plug) -> None:
    results = run(make_plan(methods=plug("shared", "shared-too")))
    one, two = results.records
    assert one.cost.charged_seconds == 0
    sentences = [part.sentences for part in results.cell(two).parts()]
    shared = sum(1 + any(not s.correct for s in part) for part in sentences)  # wrong ones are a batch of their own
    assert len(sentences) == 3 and shared > 3
    assert two.cost.charged_seconds == 100.0 * shared
    assert two.cost.explanations == 12 + (12 - two.correct)
    assert two.cost.seconds == pytest.approx((two.cost.own_seconds + two.cost.charged_seconds) / two.cost.explanations)
    assert one.cost.peak_bytes > 1 << 20
    layers = 2  # of the model of these tests
    assert one.cost.passes == 0 and two.cost.passes == pytest.approx(6 * shared / layers / two.cost.explanations)


def test_what_methods_load_is_imported_before_they_are_timed(tiny_flow, tmp_path, monkeypatch) -> None:
    (tmp_path / "loaded_late.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    batch = flowgauge.encode(tiny_flow, load_task("sva/obj").instances("test", 2, 0))
    warm_up(tiny_flow, batch, [SimpleNamespace(loads=("loaded_late",)), object()])
    assert sys.modules.pop("loaded_late") and all(p.grad is None for p in tiny_flow.hf.parameters()) and batch.cache == {}


def test_every_method_that_calls_captum_says_that_it_loads_it() -> None:
    targets = {name: target.partition(":")[0] for name, target in METHODS.builtin.items()}
    of_captum = {
        name for name, module in targets.items() if "from captum.attr import" in Path(find_spec(module).origin).read_text()
    }
    assert {"saliency", "gradient-x-input", "integrated-gradients", "shapley-sampling", "lime", "kernel-shap"} <= of_captum
    assert [name for name in of_captum if METHODS.create(name).loads != ("captum.attr",)] == []


def test_passes_count_the_rows_that_run_through_the_layers(make_plan) -> None:
    results = run(make_plan(methods=["raw-attention", "leave-one-out", "internal-influence:samples=7", "saliency"], limit=4))
    passes = {record.method: record.cost.passes for record in results.records}
    assert passes["raw-attention"] == passes["saliency"] == 1 and passes["internal-influence"] == pytest.approx(7, abs=2)
    assert passes["leave-one-out"] > 3


def test_sentences_are_stored_for_figures(make_plan) -> None:
    results = run(make_plan(limit=4))
    sentences = results.cell(results.records[0]).sentences()
    first = sentences[load_task("sva/obj").instances("test", 4, 0)[0].id]
    assert first.tokens[0] == "[CLS]" and first.tokens[first.target] == "[MASK]"
    assert first.slots[first.target] != "[CLS]" and first.slots[2] == "SUBJ"
    assert first.condition == "SS" and first.answer == ("is",) and first.against == ("are",)
    assert first.correct == (first.predicted == first.answer)
