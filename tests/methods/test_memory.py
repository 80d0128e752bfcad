"""Explanations under a memory budget that splits everything: equal to those of one piece, and within the budget when measured."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.conftest import FULL_SIZE

from flowgauge.methods.gradients import attattr
from flowgauge.methods.registry import METHODS
from flowgauge.models import memory
from flowgauge.models.built.training import InMemorySession
from flowgauge.models.flow import trace
from flowgauge.models.memory import within_memory

FEW = {
    "influence-patterns": {"samples": 3},
    "conductance": {"samples": 3},
    "internal-influence": {"samples": 3},
    "repl-skip": {"samples": 3},
    "integrated-gradients": {"samples": 3},
    "shapley-sampling": {"samples": 4},
    "lime": {"samples": 20},
    "kernel-shap": {"samples": 20},
    "attattr": {"steps": 4},
    "smooth-grad": {"samples": 3},
    "gradient-shap": {"samples": 3},
    "sequential-ig": {"samples": 3},
    "discretized-ig": {"steps": 3},
    "ib-attribution": {"steps": 3},
    "information-mask": {"steps": 3},
    "diffmask-input": {"steps": 4, "fallback": 1e9},
    "diffmask-hidden": {"steps": 4, "fallback": 1e9},
    "diffmask-single": {"steps": 10},
    "reinforce-mask": {"steps": 10},
}
"""Settings with few steps, of the methods that take many."""


def explain(model, name: str, batch, **settings):
    batch = replace(batch, counterpart=torch.where(batch.attention_mask, batch.ids.flip(1).clamp(min=5), batch.ids))
    method = METHODS.create({"name": name, **FEW.get(name, {}), **settings})
    if hasattr(method, "fit"):
        method = method.trained(method.fit(model, [batch.rows(torch.arange(len(batch)))], InMemorySession()))
    return method.explain(model, batch)


def numbers(explanation) -> Iterator[tuple[str, np.ndarray]]:
    for name in ("tokens", "nodes", "flows", "edges", "heads", "mask", "gate", "units", "sets", "circuit"):
        if (view := getattr(explanation, name, None)) is not None:
            yield name, view
    yield from ((f"values/{name}", np.array(value)) for name, value in explanation.values.items())
    if explanation.patterns is not None:
        for name in ("source", "total", "influence", "positions", "heads", "head_influence", "gap"):
            if (view := getattr(explanation.patterns, name)) is not None:
                yield f"patterns/{name}", view


@pytest.fixture
def one_at_a_time(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """Makes room for one row, one sample, one word and one layer alone, whatever the model."""

    def split() -> None:
        monkeypatch.setattr(trace, "WHOLE", 0)
        monkeypatch.setattr(attattr, "BUDGET", 1)

    return split


CHECKED = [
    (name, family)
    for turn, name in enumerate(METHODS.builtin)
    for family in (("bert", "gpt2") if FULL_SIZE else (("bert", "gpt2")[turn % 2],))
]
"""In full (`FLOWGAUGE_FULL_TESTS=1`) every method on both, else on an encoder and a decoder in turn."""


@pytest.mark.parametrize(("name", "family"), CHECKED)
def test_no_explanation_depends_on_the_budget(models, batches, one_at_a_time, name, family):
    model = models(family)
    model.tokenizer.backend_tokenizer = type("Backend", (), {"to_str": staticmethod(lambda: "")})
    whole = explain(model, name, batches(model, [6, 4]))
    one_at_a_time()
    with within_memory(1):
        assert memory.rows_at_once(model, 6, 256) == 1
        split = explain(model, name, batches(model, [6, 4]))
    for ours, theirs in zip(split, whole, strict=True):
        assert [key for key, _ in numbers(ours)] == [key for key, _ in numbers(theirs)]
        for (key, one), (_, other) in zip(numbers(ours), numbers(theirs), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-8, err_msg=key)


@pytest.mark.parametrize("settings", [{"beam": 3}, {"k": 2}, {"suffix": "free"}, {"exact": True}], ids=str)
def test_no_kind_of_pattern_depends_on_the_budget(models, batches, one_at_a_time, settings):
    model, lengths = models("bert"), [5, 4] if "exact" in settings else [6, 5]  # all paths are many
    whole = explain(model, "influence-patterns", batches(model, lengths), **settings)
    one_at_a_time()
    with within_memory(1):
        split = explain(model, "influence-patterns", batches(model, lengths), **settings)
    for ours, theirs in zip(split, whole, strict=True):
        for (key, one), (_, other) in zip(numbers(ours), numbers(theirs), strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-8, err_msg=key)
