"""Objectives, padding and settings of the methods that differentiate at context vectors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.methods.gradients.conftest import FAMILIES

from flowgauge.core.errors import NotApplicable, UsageError
from flowgauge.methods.gradients.attattr import AttAttr
from flowgauge.methods.gradients.context_gradients import objective
from flowgauge.methods.gradients.gradient_x_attention import GradientXAttention
from flowgauge.methods.gradients.head_taylor import HeadTaylor
from flowgauge.methods.perturbation.head_accuracy_difference import head_accuracy_difference
from flowgauge.methods.registry import METHODS
from flowgauge.models.inputs.encode import encode
from flowgauge.models.outputs import value
from flowgauge.tasks.instance import Instance, Quantity


def test_objectives_by_hand(batch):
    logits = torch.zeros(3, 60, dtype=torch.float64)
    logits[:, 7], logits[:, 8] = torch.log(torch.tensor([3.0, 1.0, 0.5], dtype=torch.float64)), 2.0
    total = 58 + torch.tensor([3.0, 1.0, 0.5], dtype=torch.float64) + np.e**2
    probability = torch.tensor([3.0, 1.0, 0.5], dtype=torch.float64) / total
    asked = replace(batch, quantity=Quantity("logit"), cache={})
    assert torch.allclose(objective((logits,), asked, "quantity"), logits[:, 7])
    assert torch.allclose(objective((logits,), asked, "probability"), probability)
    assert torch.allclose(objective((logits,), asked, "loss"), -probability.log())
    assert torch.allclose(objective((logits,), asked, "logit_sum"), logits[:, 7] + 2)
    assert torch.allclose(value((logits,), batch), logits[:, 7] - 2)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("make", [GradientXAttention, HeadTaylor, head_accuracy_difference], ids=lambda m: m.name)
def test_padding_changes_nothing(models, batches, single, family, make):
    for head in ("masked", "label"):
        model, method = models(family, head), make()
        batch = batches(model, [6, 4])
        together = method.explain(model, batch)
        for row in range(2):
            (alone,) = method.explain(model, single(batch, row))
            for view in method.gives:
                assert getattr(together[row], view) == pytest.approx(getattr(alone, view), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    ("make", "setting", "needs_classes"),
    [(HeadTaylor, "objective", "loss"), (GradientXAttention, "output", "probability"), (AttAttr, "output", "probability")],
)
def test_a_score_is_explained_where_the_quantity_is_asked_for(tiny_flows, make, setting, needs_classes):
    model = tiny_flows("bert", "score")
    batch = encode(model, [Instance("1", ("the author is tall .",), (0,))])
    with pytest.raises(
        NotApplicable, match=f"one score and no classes, so that it has no {needs_classes}: use {setting}=quantity"
    ):
        make(**{setting: needs_classes}).explain(model, batch)
    (explanation,) = make(**{setting: "quantity"}).explain(model, batch)
    assert np.isfinite(explanation.heads).all() and np.any(explanation.heads)


@pytest.mark.parametrize(
    ("method", "settings", "message"),
    [
        (GradientXAttention, {"output": "loss"}, "output must be quantity or probability, got 'loss'"),
        (HeadTaylor, {"objective": "probability"}, "objective must be loss, quantity or logit_sum, got"),
        (HeadTaylor, {"absolute": "none"}, "absolute must be head or token, got 'none'"),
    ],
)
def test_settings_that_do_not_exist_are_refused(method, settings, message):
    with pytest.raises(UsageError, match=message):
        method(**settings)


@pytest.mark.parametrize("name", ["gradient-x-attention", "generic-attention", "attcat", "attn-lrp", "cp-lrp", "deep-lift"])
def test_word_vectors_of_a_batch_stay_as_they_are(models, batches, name):
    model = models("llama")  # whose hidden[0] are the word vectors themselves
    batch = batches(model, [5, 4])
    own = replace(batch, word_vectors=model.words(batch).clone(), cache={})
    settings = {"baseline": "mean"} if name == "deep-lift" else {}
    found = METHODS.create({"name": name, **settings}).explain(model, own)
    assert not own.word_vectors.requires_grad and torch.equal(own.word_vectors, model.words(batch))
    for one, other in zip(found, METHODS.create({"name": name, **settings}).explain(model, batch), strict=True):
        assert one.tokens.tolist() == other.tokens.tolist()
