"""Defaults of the model: what a user leaves out is resolved, what a user says stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowgauge.benchmark.engine.run import run
from flowgauge.benchmark.loading.model_defaults import for_model
from flowgauge.benchmark.loading.model_handle import ModelHandle
from flowgauge.core.registry import settings
from flowgauge.methods.gradients.integrated_gradients import IntegratedGradients
from flowgauge.methods.registry import METHODS
from flowgauge.metrics.registry import METRICS

OWN = """
import flowgauge

@flowgauge.method("own-blank", gives="tokens")
def own_blank(model, batch, baseline="mask", steps=2):
    return flowgauge.explanations(batch, tokens=(baseline == "pad") * batch.attention_mask.double())
"""


def test_a_default_gives_way_and_what_is_given_stays() -> None:
    left_out, said = METHODS.create("integrated-gradients:samples=7"), METHODS.create("integrated-gradients:baseline=mask")
    assert for_model(left_out, "mask") is left_out
    resolved = for_model(left_out, "pad")
    assert settings(resolved) == {**settings(left_out), "baseline": "pad"} and resolved.samples == 7
    assert for_model(resolved, "pad") is resolved
    assert for_model(said, "pad") is said
    built = IntegratedGradients()
    assert for_model(built, "pad") is built, "a user built it"
    zero, none = METHODS.create("exact-erasure"), METHODS.create("attention")
    assert for_model(zero, "pad") is zero and for_model(none, "pad") is none
    assert for_model(METRICS.create("loo_correlation"), "pad").baseline == "pad"


def test_every_plug_in_with_the_setting_takes_the_default_of_decoders() -> None:
    """A method or metric that kept `mask` could not run on a decoder unless its settings were changed."""
    found = set()
    for registry in (METHODS, METRICS):
        for name in registry.builtin:
            plugin = registry.create(name)
            if settings(plugin).get("baseline") == "mask":
                assert settings(for_model(plugin, "pad"))["baseline"] == "pad", name
                found.add(name)
    assert {"influence-patterns", "leave-one-out", "repl-skip", "lime", "conductance", "random_rank", "infidelity"} <= found


def test_a_function_of_a_users_is_resolved_too(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    method = METHODS.create(f"{tmp_path / 'own.py'}")
    assert settings(for_model(method, "pad")) == {"baseline": "pad", "steps": 2}


@pytest.mark.parametrize(("family", "head", "default"), [("bert", "masked", "mask"), ("gpt2", "next", "pad")])
def test_the_default_is_known_before_the_model_is_loaded(tiny_folder, tmp_path, monkeypatch, family, head, default) -> None:
    handle = ModelHandle(str(tiny_folder(family, head)), str(tmp_path))
    monkeypatch.setattr(ModelHandle, "load", lambda self: pytest.fail("the model was loaded"))
    assert handle.default_baseline() == default
    assert ModelHandle("agreement-bert", str(tmp_path)).default_baseline() == "mask"


def test_the_default_of_a_model_that_is_built_is_its_own(tmp_path: Path) -> None:
    assert ModelHandle("planted", str(tmp_path)).default_baseline() == "mask"


def test_a_decoders_key_says_what_replaces_words(tiny_folder, make_plan) -> None:
    gpt2 = str(tiny_folder("gpt2", "next"))
    methods = ["saliency", "leave-one-out", *(f"leave-one-out:baseline={baseline}" for baseline in ("pad", "mask", "zero"))]
    plan = make_plan(model=gpt2, methods=methods, metrics=["loo_correlation", "loo_correlation:baseline=zero"], limit=4)
    records = run(plan).records
    assert [record.settings.get("baseline") for record in records] == [None, "pad", "mask", "zero"], "one cell for one key"
    saliency, pad, mask, _ = records
    assert pad.key["method"]["settings"] == pad.settings == {"baseline": "pad"} and pad.status == "done"
    assert mask.status == "not-applicable" and "has no mask token; choose baseline pad, zero or mean." in mask.error
    scores = {score.settings["baseline"]: score for score in pad.scores.values()}
    assert {name: score.status for name, score in scores.items()} == {"pad": "done", "zero": "done"}
    assert scores["pad"].aggregates[0].value == pytest.approx(1.0), "the same words are put in the place of each"
    again = run(plan).records
    assert [(r.cell, r.finished) for r in again] == [(r.cell, r.finished) for r in records], "nothing was computed again"
    assert saliency.settings == {"norm": "l2"}


def test_an_encoders_key_stays_as_it_was(tiny_folder, make_plan) -> None:
    (record,) = run(make_plan(methods=["leave-one-out"], metrics=["loo_correlation"], limit=4)).records
    assert record.settings == {"baseline": "mask"}
    assert list(record.scores) == [f"loo_correlation@{METRICS.create('loo_correlation').version}"]
