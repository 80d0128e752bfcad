"""Every registered method, task and metric keeps the promises."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.conftest import FULL_SIZE

from flowgauge.benchmark.conformance import check_method, check_metric, check_task, failed, metrics, parametrize
from flowgauge.benchmark.conformance.family_table import QUICK
from flowgauge.benchmark.engine.explain import PreparedBatch, explain_batch
from flowgauge.benchmark.store.explanation_file import Part
from flowgauge.core.registry import parameters
from flowgauge.methods.registry import METHODS
from flowgauge.models.flow.flow_model import FlowModel
from flowgauge.tasks.registry import load_task

LABELLED = [
    replace(instance, truth={"token_labels": (0, 2, 4, 2, 1) * 2, "positions": ((0, 1), (0, 3))})
    for instance in load_task("sva/obj").instances("test", 4, 0)
]
"""Sentences whose words have labels, and two of which matter."""
PLANTED = [
    replace(instance, truth={"path": (2, 5, 0), "heads": (1, -1)}) for instance in load_task("sva/obj").instances("test", 4, 0)
]
"""Sentences with a path through two layers."""
OWN = {"ground_truth": PLANTED, **dict.fromkeys(("plausibility", "ground_truth_divergence", "depth_kept"), LABELLED)}
"""Sentences for metrics that need a known answer."""
UNFIT = {("atman", "deberta-v2")}
"""Methods that say that they do not apply to a family."""
SHORT_SEARCH = {"exact-erasure": "exact-erasure:margin=2"}
SMALLER = {"sensitivity": "sensitivity:samples=2", "random_rank": "random_rank:patterns=20,words=9,samples=8"}
THREE = [instance for name in ("sva/wsc", "sva/obj", "ra/ga") for instance in load_task(name).instances("test", 1, 0)]
"""Sentences of 10, 11 and 13 tokens: fewer than the six that a plug-in is checked on, and padded as those are."""


def quick(plugin: str) -> str:
    """The method with few steps or path samples: every promise but speed is the same."""
    sampled = "samples" in parameters(METHODS.factory(plugin))
    return {**QUICK, **SHORT_SEARCH}.get(plugin, f"{plugin}:samples=8" if sampled else plugin)


OTHERS = ("deberta-v2", "modernbert", "agreement-bert")
"""Two random families, and a trained model in float32 through its tokenizer."""
SMALL_ONLY = {"edge-patching": "deberta-v2"}
"""The other place of methods that run a model once for each of its edges, of which the trained one has many."""
CHECKED = [
    (plugin, place)
    for turn, plugin in enumerate(sorted(METHODS.entries()))
    for place in ("bert", *OTHERS)
    if FULL_SIZE or place in ("bert", SMALL_ONLY.get(plugin, OTHERS[turn % len(OTHERS)])) or (plugin, place) in UNFIT
]
"""In full (`FLOWGAUGE_FULL_TESTS=1`) every method everywhere, else each on a random bert and in one other place in turn."""


@pytest.mark.parametrize(("plugin", "place"), CHECKED)
def test_methods(plugin, place, tiny_flows, agreement_model: FlowModel) -> None:
    findings = check_method(quick(plugin), agreement_model if place == "agreement-bert" else tiny_flows(place), THREE)
    assert not failed(findings)
    if (plugin, place) in UNFIT:
        assert "not applicable" in findings[-1].detail
    else:
        assert len(findings) == 13


@pytest.fixture(scope="module")
def explained() -> dict[str, Part]:
    """What explanations the metrics were shown, by method and instances; a metric that changes them fails by itself."""
    return {}


@parametrize("metric")
def test_metrics(plugin, tiny_flow, explained, monkeypatch) -> None:
    def once(model: FlowModel, method: object, prepared: PreparedBatch, seed: int) -> Part:
        key = f"{method} {seed} {prepared.instances}"
        if key not in explained:
            explained[key] = explain_batch(model, method, prepared, seed)
        return explained[key]

    monkeypatch.setattr(metrics, "explain_batch", once)
    findings = check_metric(SMALLER.get(plugin, plugin), tiny_flow, OWN.get(plugin))
    assert not failed(findings)
    assert len(findings) > 12


@parametrize("task")
def test_tasks(plugin, tiny_data, monkeypatch) -> None:
    monkeypatch.setenv("FLOWGAUGE_DATA", str(tiny_data))
    findings = check_task(plugin)
    assert not failed(findings)
    assert len(findings) == 11
