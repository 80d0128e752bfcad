"""Span tasks through the whole benchmark: every method and metric runs or says why not, figures, fine-tuning."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import CIRCUITS, FULL_SIZE

from flowgauge.benchmark.engine.run import run
from flowgauge.benchmark.store.results import RunRecords
from flowgauge.core.errors import FlowgaugeError
from flowgauge.leaderboards.figures.plot import plot
from flowgauge.methods.registry import METHODS
from flowgauge.metrics.registry import METRICS

UNTRAINED = [name for name in METHODS.builtin if "training" not in METHODS.create(name).needs]
QUICK = {"diffmask-single": "diffmask-single:steps=12", "reinforce-mask": "reinforce-mask:steps=12"}
NEED_TARGET = {name for name in UNTRAINED if "target" in METHODS.create(name).needs}
SOME = ["integrated-gradients", "attattr", "head-taylor", "diffmask-single", "leave-one-out", "deep-lift", "influence-patterns"]
SMALLER = {"random_rank": "random_rank:patterns=20,words=9,samples=8", "sensitivity": "sensitivity:samples=1"}


@pytest.fixture(scope="module")
def store(tiny_folder: Any, tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, RunRecords]:
    """All methods on a few questions, and all metrics: in full of all methods, else of some that have every view between them."""
    where = str(tmp_path_factory.mktemp("squad"))
    metrics = [SMALLER.get(name, name) for name in METRICS.builtin if METRICS.create(name).scope != "cells"]

    def score(methods: Sequence[str], metrics: Sequence[str]) -> RunRecords:
        return run(
            model=str(tiny_folder("bert", "span")), tasks="squad", methods=[QUICK.get(name, name) for name in methods],
            metrics=metrics, limit=4, data_dir=str(tiny_data), store=where, device="cpu",
        )  # fmt: skip

    if FULL_SIZE:
        return where, score(UNTRAINED, metrics)
    made, others = score(SOME, metrics), [name for name in UNTRAINED if name not in SOME]
    made = replace(made, records=(*made.records, *score(others, ["completeness_error", "comprehensiveness"]).records))
    return where, made


def test_every_method_runs_or_says_that_it_needs_one_position(store: tuple[str, RunRecords]) -> None:
    _, made = store
    records = {record.method: record for record in made.records}
    assert set(records) == set(UNTRAINED)
    unfit = {name for name, record in records.items() if record.status == "not-applicable"}
    assert unfit == NEED_TARGET | CIRCUITS
    assert {"attention", "attention-rollout", "influence-patterns"} <= unfit
    assert {"integrated-gradients", "attattr", "leave-one-out", "head-taylor"}.isdisjoint(unfit)
    for name, record in records.items():
        if name in CIRCUITS:
            assert "no text here has a counterpart" in record.error
        elif name in unfit:
            assert record.error == f"{name} needs one position to read q at, and this task reads several."
        else:
            assert (record.status, record.error, record.instances) == ("done", "", 4)


def test_every_metric_scores_or_says_why(store: tuple[str, RunRecords]) -> None:
    _, made = store
    scored: set[str] = set()
    for record in made.records:
        for score in record.scores.values():
            assert score.status in ("done", "not-applicable"), (record.method, score.metric, score.reason)
            name = score.metric.partition("@")[0]
            if score.status == "done":
                scored.add(name)
            else:
                assert score.reason.strip(), (record.method, name)
    assert {
        "comprehensiveness", "sufficiency", "loo_correlation", "infidelity", "sensitivity", "completeness_error", "head_pruning",
        "layer_head_pruning", "receptive_field", "masked_divergence", "masked_accuracy", "share_masked", "optimality",
            "repeatability", "log_odds", "word_insertion", "word_deletion", "soft_comprehensiveness", "soft_sufficiency",
            "naopc_comprehensiveness", "naopc_sufficiency", "random_rationale_test", "parameter_randomisation",
    } == scored  # fmt: skip
    attattr = next(record for record in made.records if record.method == "attattr")
    reasons = {score.metric.partition("@")[0]: score.reason for score in attattr.scores.values()}
    for name in ("ablated_accuracy", "retention_curve", "deletion_curve", "trigger_drop"):
        assert "several positions" in reasons[name] or "influence-patterns" in reasons[name], (name, reasons[name])


def test_answers_are_stored_with_their_positions(store: tuple[str, RunRecords]) -> None:
    _, made = store
    record = next(record for record in made.records if record.method == "leave-one-out")
    for sentence in made.cell(record).sentences().values():
        assert sentence.target is None and len(sentence.answer) == len(sentence.predicted) == len(sentence.against) == 2
        for text in (*sentence.answer, *sentence.predicted, *sentence.against):
            token, _, position = text.rpartition("@")
            assert sentence.tokens[int(position)] == token
        assert sentence.correct == (sentence.answer == sentence.predicted)
        first, last = (int(text.rpartition("@")[2]) for text in sentence.answer)
        assert [sentence.words[at][0] for at in (first, last)] == [1, 1]
        assert " ".join(sentence.tokens[first : last + 1]).endswith(sentence.tokens[-2])  # `tall chef .` ends the passage


def test_its_figures_are_drawn_or_refused_in_words(store: tuple[str, RunRecords], tmp_path: Path) -> None:
    where, _ = store
    drawn = {path.name.partition("-")[0] for path in plot(where, "all", tmp_path)}
    assert drawn
    with pytest.raises(FlowgaugeError, match="reads several positions, but an attribution graph has one root"):
        plot(where, "attribution", tmp_path)
    with pytest.raises(FlowgaugeError, match="no explanations by influence-patterns"):
        plot(where, "pattern", tmp_path)
