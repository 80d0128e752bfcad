"""The oracle marks what was planted, its noise has the AUROC that it says, and random masks keep as many states."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from flowgauge import NotApplicable, encode, load_model, load_task
from flowgauge.benchmark.engine.plan import PLANS, Plan
from flowgauge.benchmark.engine.resolve import check_names
from flowgauge.core.registry import load_file
from flowgauge.methods.registry import METHODS
from flowgauge.metrics.nodes.ground_truth import agreement, auroc, planted_of

ORACLE = str(PLANS / "oracle.py")


def planted(task: str):
    """The task's model with eight sentences in a batch."""
    made: Any = load_task(task)
    instances = made.instances(limit=8)
    model = load_model(made.model)
    return model, encode(model, instances), instances


@pytest.mark.parametrize("task", ["planted/relay", "planted/skip", "planted/attractor", "planted/fork"])
def test_the_oracle_has_every_mark_of_the_truth(task: str) -> None:
    model, batch, instances = planted(task)
    oracle = METHODS.create(f"{ORACLE}:oracle:draws=2")
    for instance, explanation in zip(instances, oracle.explain(model, batch), strict=True):
        for draw in explanation.each():
            marks = agreement(draw, planted_of(instance, model.n_layers), len(draw.tokens))
            exact = ("nodes/auroc", "nodes/auroc/pooled", "nodes/f1", "tokens/auroc", "path", "heads/f1")
            assert {name: marks[name][0] for name in exact} == dict.fromkeys(exact, 1.0)


@pytest.mark.parametrize("noise", [2.0, 4.0])
def test_the_noise_has_the_auroc_that_it_says(noise: float) -> None:
    model, batch, instances = planted("planted/relay")
    marks = [
        auroc(draw.nodes[depth], np.arange(draw.nodes.shape[1]) == instance.truth["path"][depth])
        for instance, explanation in zip(
            instances, METHODS.create(f"{ORACLE}:oracle:noise={noise},draws=50").explain(model, batch), strict=True
        )
        for draw in explanation.each()
        for depth in range(4)
    ]
    error = np.std(marks) / np.sqrt(len(marks))
    assert np.mean(marks) == pytest.approx(1 - (1 - 1 / noise) ** 2 / 2, abs=4 * error)


def test_masks_keep_as_many_states_and_the_oracles_are_right() -> None:
    model, batch, instances = planted("planted/relay")
    right, random = (METHODS.create(f"{ORACLE}:{name}:draws=3").explain(model, batch) for name in ("oracle-mask", "random-mask"))
    for instance, one, other in zip(instances, right, random, strict=True):
        path = np.array([instance.truth["path"][0], *instance.truth["path"]])
        for mask, drawn in zip(one.each(), other.each(), strict=True):
            assert (mask.mask.argmax(1) == path).all() and (mask.mask.sum(1) == drawn.mask.sum(1)).all()
    assert any((draw.mask != random[0].each()[0].mask).any() for draw in random[0].each()[1:])


def test_draws_of_different_noise_share_no_number() -> None:
    model, batch, _ = planted("planted/relay")
    of_noise = [METHODS.create(f"{ORACLE}:oracle:noise={noise},draws=1").explain(model, batch)[0] for noise in (2.0, 4.0)]
    drawn = [
        (e.each()[0].nodes % 1e9 - (e.each()[0].nodes >= noise)) / noise for e, noise in zip(of_noise, (2.0, 4.0), strict=True)
    ]
    assert not np.isclose(*drawn).any()


def test_of_a_counting_model_the_digits_of_the_query_are_known() -> None:
    counting: Any = load_task("toy/counting")
    known = load_file(Path(ORACLE))._counted
    for instance in counting.instances(limit=4):
        query, digits = (text.split() for text in instance.segments)
        ids = np.array([int(digit) for digit in (*query, *digits)])
        marked = known(ids, np.array([0] * 2 + [1] * len(digits)))
        at = [2 + word for _, word in instance.truth["positions"]]
        assert np.flatnonzero(marked.nodes[0]).tolist() == at and marked.mask[0].all() and marked.tokens is None


def test_other_models_are_refused() -> None:
    _, batch, _ = planted("planted/relay")
    with pytest.raises(NotApplicable, match="use the tasks planted"):
        METHODS.create(f"{ORACLE}:oracle").explain(SimpleNamespace(name="agreement-bert"), batch)


def test_the_plan_names_the_oracle_beside_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    plan = check_names(Plan.load("report-cards"))
    assert plan.methods[0].name == f"{ORACLE}:oracle" and len(plan.tasks) == 7
    (tmp_path / "oracle.py").write_text("")
    assert Plan.load("report-cards").methods[0].name == "oracle.py:oracle"
