"""Spans and classes: rows for the Trainer, and how predictions are scored."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import transformers

from flowgauge.benchmark.fine_tuning import heads as aims
from flowgauge.benchmark.fine_tuning.fine_tune import train
from flowgauge.core.errors import UsageError
from flowgauge.models.inputs.encode import batches
from flowgauge.models.load import load_model
from flowgauge.models.outputs import prediction
from flowgauge.tasks.registry import load_task

SMALL: dict[str, Any] = {"lr": 1e-2, "batch_size": 4, "max_length": 40, "device": "cpu"}


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
