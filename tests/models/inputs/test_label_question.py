"""Heads whose outputs are no classes: q is the score, or the logit of one label, and never a softmax over them."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from flowgauge.core.errors import NotApplicable, UsageError
from flowgauge.models.inputs.encode import batches, encode, relabel
from flowgauge.models.inputs.label_question import label_name, label_question
from flowgauge.models.outputs import correct, divergence, prediction, value
from flowgauge.tasks.instance import Instance, Quantity

TEXTS = ("the author is tall .", "the guard that the chef likes is old .")


def instances(*answers: int | str) -> list[Instance]:
    return [Instance(f"{i}", (TEXTS[i % 2],), (answer,)) for i, answer in enumerate(answers)]


def logits(model, batch) -> torch.Tensor:
    """What the model of transformers gives for the tokens of a batch."""
    with torch.no_grad():
        mask, types = batch.attention_mask.long(), batch.token_type_ids
        return model.hf(input_ids=batch.ids, attention_mask=mask, token_type_ids=types).logits


def test_q_of_a_score_is_the_score_whatever_its_label(tiny_flows) -> None:
    model = tiny_flows("bert", "score")
    batch = encode(model, instances("0.8", 0))
    assert batch.quantity.form == "logit" and not batch.pairwise
    torch.testing.assert_close(value(model.outputs(batch), batch), logits(model, batch)[:, 0])
    predicted = relabel(model, batch)
    assert predicted.quantity == Quantity("logit", "predicted") and torch.equal(predicted.answer, batch.answer)


def test_a_score_has_no_prediction_accuracy_or_probability(tiny_flows) -> None:
    model = tiny_flows("bert", "score")
    batch = encode(model, instances("1.5"))
    outputs = model.outputs(batch)
    uses = (
        lambda: prediction(outputs, batch),
        lambda: correct(outputs, batch),
        lambda: divergence(outputs, outputs),
        lambda: value(outputs, replace(batch, quantity=Quantity("probability"))),
    )
    for use in uses:
        with pytest.raises(NotApplicable, match="gives one score and no classes, so that it has no prediction, accuracy or prob"):
            use()
    with pytest.raises(UsageError, match=r"explains a log probability, but model .* has a regression head, which gives"):
        encode(model, instances("1.5"), Quantity("log_probability"))


def test_q_of_a_label_is_its_own_logit_and_its_probability_the_sigmoid(tiny_flows) -> None:
    model = tiny_flows("bert", "labels")
    batch = encode(model, instances("toxic", "Fine", "not rude", 1))
    assert batch.label.tolist() == [0, 2, 1, 1] and batch.answer.tolist() == [[1], [1], [0], [1]]
    own = logits(model, batch).gather(1, batch.label[:, None])[:, 0]
    signs = torch.tensor([1, 1, -1, 1])
    torch.testing.assert_close(value(model.outputs(batch), batch), signs * own)
    chances = value(model.outputs(batch), replace(batch, quantity=Quantity("probability")))
    torch.testing.assert_close(chances, (signs * own).sigmoid())
    assert prediction(model.outputs(batch), batch)[:, 0].tolist() == (own > 0).long().tolist()
    torch.testing.assert_close(value(model.outputs(batch), relabel(model, batch)), own.abs())


def test_rows_keep_their_question(tiny_flows) -> None:
    model = tiny_flows("bert", "labels")
    batch = encode(model, instances("toxic", "fine"))
    index = torch.tensor([1, 0, 1])
    (whole,), (part,) = model.outputs(batch), model.outputs(batch.rows(index))
    torch.testing.assert_close(part, whole[index])
    with pytest.raises(ValueError, match="names no label to ask a multi-label head about"):
        model.outputs(replace(batch, label=None))
    groups = batches(model, instances("toxic", "rude", "fine"), batch_size=1).batches
    assert sorted(int(group.label[0]) for group in groups) == [0, 1, 2]


def test_labels_that_a_head_does_not_have_are_refused(tiny_flows) -> None:
    score, labels = tiny_flows("bert", "score"), tiny_flows("bert", "labels")
    with pytest.raises(UsageError, match=r"has label 'toxic', but model '.*' has a regression head.*write numbers as labels"):
        label_question(score, instances("toxic")[0], {})
    with pytest.raises(
        UsageError, match=r"has label 'odd', but model .* knows toxic, rude, fine, each of them also as `not toxic`"
    ):
        label_question(labels, instances("odd")[0], {})
    with pytest.raises(UsageError, match="names several answers"):
        label_question(labels, replace(instances("toxic")[0], against=("rude",)), {})
    assert label_question(score, instances("-2.5")[0], {}) == (None, 0)
    assert label_question(labels, instances("bad")[0], {"bad": 1}) == (1, 1), "the task's name of a label"
    assert label_question(labels, instances("not 2")[0], {}) == (2, 0)
    assert label_name(labels, 1, 0) == "not rude" and label_name(labels, 1, 1) == "rude"


def test_labels_that_are_called_by_numbers_are_asked_by_these(tiny_flows, monkeypatch) -> None:
    model = tiny_flows("bert", "labels")
    monkeypatch.setattr(model.hf.config, "id2label", {0: "-1", 1: "0", 2: "1"})
    assert encode(model, instances(1, "-1", "not 0")).label.tolist() == [2, 0, 1]
    with pytest.raises(UsageError, match=r"model .* none is called 2, and the one at place 2 is called 1"):
        encode(model, instances(2))
    monkeypatch.setattr(model.hf.config, "id2label", {0: "1 star", 1: "2 stars", 2: "3 stars"})
    with pytest.raises(UsageError, match="has two outputs for it: number 1, which is called '2 stars', and '1 star'"):
        encode(model, instances(1))
