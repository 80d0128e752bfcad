"""Span tasks through the whole benchmark: every method and metric runs or says why not, figures, fine-tuning."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers

from flowgauge.benchmark.engine.run import run
from flowgauge.benchmark.fine_tuning import heads as aims
from flowgauge.benchmark.fine_tuning.fine_tune import train
from flowgauge.benchmark.store.results import Results
from flowgauge.core.errors import FlowgaugeError, UsageError
from flowgauge.leaderboards.figures.plot import plot
from flowgauge.methods.registry import METHODS
from flowgauge.metrics.registry import METRICS
from flowgauge.models.inputs.encode import batches
from flowgauge.models.load import load_model
from flowgauge.models.outputs import prediction
from flowgauge.tasks.registry import load_task

UNTRAINED = [name for name in METHODS.builtin if "training" not in METHODS.create(name).needs]
QUICK = {"diffmask-single": "diffmask-single:steps=12", "reinforce-mask": "reinforce-mask:steps=12"}
NEED_TARGET = {name for name in UNTRAINED if "target" in METHODS.create(name).needs}
SMALLER = {"random_rank": "random_rank:patterns=20,words=9,samples=8", "sensitivity": "sensitivity:samples=1"}
SMALL: dict[str, Any] = {"lr": 1e-2, "batch_size": 4, "max_length": 40, "device": "cpu"}


@pytest.fixture(scope="module")
def store(tiny_folder: Any, tiny_data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Results]:
    """All methods and metrics on a few questions."""
    where = str(tmp_path_factory.mktemp("squad"))
    metrics = [SMALLER.get(name, name) for name in METRICS.builtin if METRICS.create(name).scope != "cells"]
    made = run(
        model=str(tiny_folder("bert", "span")), tasks="squad", methods=[QUICK.get(name, name) for name in UNTRAINED],
        metrics=metrics, limit=4, data_dir=str(tiny_data), store=where, device="cpu",
    )  # fmt: skip
    return where, made


def test_every_method_runs_or_says_that_it_needs_one_position(store: tuple[str, Results]) -> None:
    _, made = store
    records = {record.method: record for record in made.records}
    assert set(records) == set(UNTRAINED)
    unfit = {name for name, record in records.items() if record.status == "not-applicable"}
    assert unfit == NEED_TARGET
    assert {"attention", "attention-rollout", "influence-patterns"} <= unfit
    assert {"integrated-gradients", "attattr", "leave-one-out", "head-taylor"}.isdisjoint(unfit)
    for name, record in records.items():
        if name in unfit:
            assert record.error == f"{name} needs one position to read q at, and this task reads several."
        else:
            assert (record.status, record.error, record.instances) == ("done", "", 4)


def test_every_metric_scores_or_says_why(store: tuple[str, Results]) -> None:
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
    } == scored  # fmt: skip
    attattr = next(record for record in made.records if record.method == "attattr")
    reasons = {score.metric.partition("@")[0]: score.reason for score in attattr.scores.values()}
    for name in ("ablated_accuracy", "retention_curve", "deletion_curve", "trigger_drop"):
        assert "several positions" in reasons[name] or "influence-patterns" in reasons[name], (name, reasons[name])


def test_answers_are_stored_with_their_positions(store: tuple[str, Results]) -> None:
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


def test_its_figures_are_drawn_or_refused_in_words(store: tuple[str, Results], tmp_path: Path) -> None:
    where, _ = store
    drawn = {path.name.partition("-")[0] for path in plot(where, "all", tmp_path)}
    assert drawn
    with pytest.raises(FlowgaugeError, match="the output reads several positions, and an attribution graph has one root"):
        plot(where, "attribution", tmp_path)
    with pytest.raises(FlowgaugeError, match="no explanations by influence-patterns"):
        plot(where, "pattern", tmp_path)


def test_fine_tuning_finds_spans_and_states_exact_match(tiny_bert: Path, tiny_data: Path, tmp_path: Path) -> None:
    made = train(str(tiny_bert), "squad", tmp_path / "model", data_dir=str(tiny_data), epochs=60, **SMALL)
    assert made.trained_on == made.count == 16
    assert made.correct >= 12 and made.f1 is not None and made.f1 >= made.accuracy
    assert made.measure == f"exact match {made.accuracy:.4f} [{made.low:.4f}, {made.high:.4f}], F1 {made.f1:.4f}"
    assert train(str(tiny_bert), "squad", tmp_path / "model", data_dir=str(tiny_data), epochs=60, **SMALL) == made
    config = transformers.AutoConfig.from_pretrained(tmp_path / "model")
    assert config.architectures == ["BertForQuestionAnswering"]
    text = (tmp_path / "model" / "README.md").read_text()
    assert "pipeline_tag: question-answering" in text and f"F1 {made.f1:.4f}" in text and "Classes" not in text
    model = load_model(str(tmp_path / "model"))
    instances = load_task({"name": "squad", "data_dir": str(tiny_data)}).instances("validation", None, 0)
    assert exact(model, instances) == made.correct


def exact(model: Any, instances: Any) -> int:
    """Exact matches of the heads' own largest outputs, put into words apart from `aims`."""
    right = 0
    made = batches(model, instances)
    for batch, members in zip(made.batches, made.instances, strict=True):
        for row, instance in enumerate(members):
            first, last = prediction(model.outputs(batch), batch)[row].tolist()
            said = model.tokenizer.convert_ids_to_tokens(batch.ids[row, first : last + 1].tolist())
            wanted = {instance.segments[1][slice(*span)].removeprefix("the ") for span in (instance.answer, *instance.also)}
            right += " ".join(said).removeprefix("the ") in wanted
    return right


def test_answers_that_are_cut_off_are_counted(
    tiny_bert: Path, tiny_data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options: dict[str, Any] = {**SMALL, "epochs": 1, "max_length": 12}
    made = train(str(tiny_bert), "squad", tmp_path / "model", data_dir=str(tiny_data), **options)
    told = [message for message in caplog.messages if "cut off" in message]
    assert told[0] == "4 of 16 answers of the train split were cut off; these questions are left out."
    assert (made.trained_on, made.count) == (12, 16)
    with pytest.raises(UsageError, match="no answer of the train split is within 11 tokens"):
        train(str(tiny_bert), "squad", tmp_path / "none", data_dir=str(tiny_data), **{**options, "max_length": 11})
    with pytest.raises(UsageError, match="the model reads 40 tokens, so max-length cannot be 384"):
        train(str(tiny_bert), "squad", tmp_path / "none", data_dir=str(tiny_data), **{**options, "max_length": None})


def test_the_best_span_is_the_best_of_all_by_enumeration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aims, "LONGEST_ANSWER", 3)
    rng = np.random.default_rng(0)
    for _ in range(20):
        starts, ends, inside = rng.normal(size=9), rng.normal(size=9), rng.random(9) < 0.7
        inside[4] = True
        every = [(a, b) for a in range(9) for b in range(a, min(a + 3, 9)) if inside[a] and inside[b]]
        assert aims.best_span(starts, ends, inside) == max(every, key=lambda ab: starts[ab[0]] + ends[ab[1]])


def test_scores_of_answers_are_the_published_ones() -> None:
    assert aims.f1("a cat", "the cat!") == 1.0 and aims.f1("dog", "cat") == 0.0 and aims.f1("the", "") == 1.0
    assert aims.f1("x", "") == 0.0 and aims.f1("to be or not to be", "to be") == pytest.approx(2 * 2 / 8)


def test_a_classifier_is_told_that_it_does_not_fit(tiny_folder: Any, tiny_data: Path, tmp_path: Path) -> None:
    options: dict[str, Any] = {"methods": "random", "store": str(tmp_path), "device": "cpu", "data_dir": str(tiny_data)}
    with pytest.raises(
        UsageError, match=r"needs a model with a span head.*`flowgauge train --model BASE --task squad --out DIR`"
    ):
        run(model=str(tiny_folder("bert", "label")), tasks="squad", **options)
    with pytest.raises(UsageError, match=r"has a span head\. It fits squad"):
        run(model=str(tiny_folder("bert", "span")), tasks="sst2", **options)
