"""The linear readout against closed forms of heads, and against the model's own logits."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tests.methods.decomposition.conftest import held

from flowgauge.core.errors import NotApplicable
from flowgauge.methods.decomposition.linear_readout import linear_readout, ratio
from flowgauge.models.batch import Rows
from flowgauge.models.outputs import value
from flowgauge.tasks.instance import Quantity


def last_of(model, batch):
    (trace,) = model.run(Rows(batch, model.embed(model.words(batch), batch)))
    return trace.site("hidden", model.n_layers)


def test_the_head_of_a_decoder_is_its_norm_and_its_words(models, batches):
    model = models("gpt2")
    batch = batches(model, [5, 3])
    last = last_of(model, batch)
    found = linear_readout(model, batch, last)
    head, norm = model.hf.lm_head.weight, model.hf.transformer.ln_f
    for row, target in enumerate(batch.target.tolist()):
        difference = head[7] - head[8]
        columns = [held(norm, unit, last[row, target]) for unit in torch.eye(16, dtype=torch.float64)]
        assert torch.allclose(found.direction[row], torch.stack(columns) @ difference, rtol=0, atol=1e-11)
        assert found.bias[row].item() == pytest.approx(float(norm.bias @ difference), abs=1e-11)
    assert torch.allclose(found.q, value(model.outputs(batch), batch), rtol=0, atol=1e-12)


@pytest.mark.parametrize("act", ["gelu", "gelu_new", "quick_gelu", "relu"])
def test_the_head_of_an_encoder_holds_its_activation_as_a_ratio(models, batches, act):
    model = models("bert", hidden_act=act)
    batch = batches(model, [5, 3])
    last = last_of(model, batch)
    found = linear_readout(model, batch, last)
    head = model.hf.cls.predictions
    for row in range(2):
        inner = head.transform.dense(last[row, 2])
        active = head.transform.transform_act_fn(inner)
        difference = head.decoder.weight[7] - head.decoder.weight[8]
        through = [
            held(head.transform.LayerNorm, active / inner * column, active) @ difference
            for column in head.transform.dense.weight.T
        ]
        assert torch.allclose(found.direction[row], torch.stack(through), rtol=0, atol=1e-10)
        moved = held(head.transform.LayerNorm, active / inner * head.transform.dense.bias, active)
        bias = (moved + head.transform.LayerNorm.bias) @ difference + head.decoder.bias[7] - head.decoder.bias[8]
        assert found.bias[row].item() == pytest.approx(float(bias), abs=1e-10)


@pytest.mark.parametrize("family", ["llama", "gemma2"])
def test_a_head_without_biases_leaves_nothing_over(models, batches, family):
    """Also where logits are capped: cap tanh(z / cap) is z times the held ratio."""
    model = models(family)
    batch = batches(model, [5, 3])
    found = linear_readout(model, batch, last_of(model, batch))
    assert found.q.abs().min() > 0.1
    assert torch.allclose(found.bias, torch.zeros(2, dtype=torch.float64), rtol=0, atol=1e-12)


def test_the_pooler_of_a_classifier_is_held(models, batches):
    model = models("bert", "label")
    batch = batches(model, [5, 3])
    last = last_of(model, batch)
    found = linear_readout(model, batch, last)
    pooled = model.hf.bert.pooler.dense(last[:, 0])
    difference = model.hf.classifier.weight[1] - model.hf.classifier.weight[2]
    expected = (pooled.tanh() / pooled * difference) @ model.hf.bert.pooler.dense.weight
    assert torch.allclose(found.direction, expected, rtol=0, atol=1e-11)


def test_the_ratio_at_zero_is_the_slope():
    x = torch.tensor([0.0, -0.0, 2.0], dtype=torch.float64)
    assert torch.allclose(ratio(torch.tanh, x), torch.tensor([1, 1, torch.tanh(x[2]) / 2], dtype=torch.float64))
    assert ratio(torch.nn.functional.gelu, x)[0].item() == pytest.approx(0.5)


@pytest.mark.parametrize("form", ["probability", "log_probability"])
def test_probabilities_are_refused(model, batch, form):
    with pytest.raises(NotApplicable, match=f"{form} is not: ask for logit_difference"):
        linear_readout(model, replace(batch, quantity=Quantity(form)), last_of(model, batch))


@pytest.mark.parametrize("act", ["gelu", "gelu_new", "quick_gelu"])
def test_the_head_of_albert_holds_its_activation_too(models, batches, act):
    """Also where transformers composes the activation function of others."""
    model = models("albert", hidden_act=act)
    batch = batches(model, [5, 3])
    last, head = last_of(model, batch), model.hf.predictions
    found = linear_readout(model, batch, last)
    for row in range(2):
        inner = head.dense(last[row, 2])
        active = head.activation(inner)
        difference = head.decoder.weight[7] - head.decoder.weight[8]
        through = [held(head.LayerNorm, active / inner * column, active) @ difference for column in head.dense.weight.T]
        assert torch.allclose(found.direction[row], torch.stack(through), rtol=0, atol=1e-10)
