"""Which output of a classifier is which class, and texts longer than a model reads."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from flowgauge.core.errors import UsageError
from flowgauge.models.inputs.encode import batches, encode
from flowgauge.models.inputs.labels import classes_match, label_ids
from flowgauge.models.load import load_model
from flowgauge.tasks.instance import Instance


@pytest.fixture
def classifier(tiny_flows: Callable[..., Any]) -> Iterator[Callable[..., Any]]:
    """The tiny classifier with its two outputs called otherwise; its own names come back afterwards."""
    model = tiny_flows("bert", "label")
    kept = dict(model.hf.config.id2label)

    def named(*names: str) -> Any:
        model.hf.config.id2label = dict(enumerate(names))
        return model

    yield named
    model.hf.config.id2label = kept


def test_names_count_not_numbers(classifier: Callable[..., Any]) -> None:
    assert label_ids(classifier("Positive", "NEGATIVE"), ("negative", "positive")) == {"negative": 1, "positive": 0}
    assert label_ids(classifier("not-Entailment", "entailment"), ("entailment", "not_entailment")) == {
        "entailment": 1,
        "not_entailment": 0,
    }


@pytest.mark.parametrize("names", [("LABEL_0", "LABEL_1"), ("0", "1")])
def test_outputs_without_names_go_by_number_with_a_warning(
    classifier: Callable[..., Any], names: tuple[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        assert label_ids(classifier(*names), ("negative", "positive")) == {"negative": 0, "positive": 1}
    (said,) = caplog.messages
    assert "have no names" in said and "taken in the order negative, positive" in said


def test_other_names_or_another_number_are_refused(classifier: Callable[..., Any]) -> None:
    with pytest.raises(UsageError, match=r"are called no, yes, those of the task negative, positive; .* id2label"):
        label_ids(classifier("no", "yes"), ("negative", "positive"))
    with pytest.raises(UsageError, match=r"has 2 classes: no, yes, the task has 3: a, b, c\."):
        label_ids(classifier("no", "yes"), ("a", "b", "c"))
    model = classifier("no", "yes")
    assert [classes_match(model, classes) for classes in (("yes", "no"), ("negative", "positive"), ("a", "b", "c"))] == [
        True,
        False,
        False,
    ]
    assert classes_match(classifier("LABEL_0", "LABEL_1"), ("negative", "positive"))


def test_answers_follow_the_mapping(classifier: Callable[..., Any]) -> None:
    model, given = classifier("positive", "negative"), [Instance("a", ("the author",), ("positive",))]
    assert encode(model, given).answer.tolist() == [[0]]
    assert encode(model, given, labels={"negative": 0, "positive": 1}).answer.tolist() == [[1]]
    assert batches(model, given, labels={"negative": 0, "positive": 1}).batches[0].answer.tolist() == [[1]]


def test_long_texts_are_cut_longest_first_with_one_counted_warning(
    tiny_flows: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    model = tiny_flows("bert", "label")
    short = Instance("short", ("the author",), (0,))
    pair = Instance("pair", ("the author " * 25, "the chef is old"), (1,))
    with caplog.at_level(logging.WARNING):
        made = batches(model, [pair, short, Instance("long", ("the " * 50,), (1,))])
    (said,) = caplog.messages
    assert said.startswith("2 of 3 texts are longer than the 40 tokens") and said.endswith("by 17 tokens at most.")
    assert made.cut == 2 and made.skipped == ()
    (batch,) = made.batches
    assert batch.lengths == [4, 40, 40]
    row = batch.names.index("pair")
    kept = batch.word_ids[row].tolist()
    assert sum(segment == 1 for segment, _ in kept) == 4  # the shorter text is whole
    assert sum(segment == 0 for segment, _ in kept) == 40 - 3 - 4
    whole = encode(model, [Instance("cut", ("the " * 38,), (1,))])
    assert torch.equal(batch.ids[batch.names.index("long")], whole.ids[0])
    assert batches(model, [pair, short], max_tokens=40).skipped == ("pair: 57 tokens, more than 40",)


def test_roberta_reads_two_tokens_less_than_it_has_positions(tiny_flows: Callable[..., Any]) -> None:
    made = batches(tiny_flows("roberta", "label"), [Instance("long", ("the " * 50,), (1,))])
    assert (made.cut, made.batches[0].lengths) == (1, [38])
    assert all(torch.isfinite(logits).all() for logits in tiny_flows("roberta", "label").outputs(made.batches[0]))


@pytest.mark.parametrize("family", ["bert", "roberta", "distilbert"])
def test_a_checkpoint_without_its_tokenizer_is_refused(family: str, tiny_folder: Callable[..., Path], tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_bytes((tiny_folder(family, "label") / name).read_bytes())
    with pytest.raises(UsageError, match=r"has no tokenizer \(tokenizer.json or vocab.txt\): save the one it was trained with"):
        load_model(str(tmp_path))
