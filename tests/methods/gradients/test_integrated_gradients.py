"""Integrated gradients against captum's own, and their completeness."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from captum.attr import LayerIntegratedGradients
from tests.models.conftest import ENCODERS

from flowgauge.methods.gradients.integrated_gradients import IntegratedGradients
from flowgauge.models.flow.trace import path_trace


def hf_q(model, batch):
    """q from token ids by the Hugging Face model itself, as captum's layer methods want it."""

    def forward(ids, mask):
        logits = model.hf(input_ids=ids, attention_mask=mask).logits
        logits = logits[:, int(batch.target[0])] if model.head == "masked" else logits
        return logits[:, int(batch.answer[0, 0])] - logits[:, int(batch.against[0, 0])]

    return forward


@pytest.mark.parametrize(("rule", "captum_rule"), [("midpoint", "riemann_middle"), ("gauss-legendre", "gausslegendre")])
@pytest.mark.parametrize("family", ENCODERS)
def test_integrated_gradients_equal_captums_layer_integrated_gradients(models, batches, family, rule, captum_rule):
    model = models(family)
    model.hf.set_attn_implementation("eager")
    batch = batches(model, [6, 5])
    found = IntegratedGradients(rule=rule, samples=20).explain(model, batch)
    baseline = torch.full_like(batch.ids, model.tokenizer.mask_token_id)
    oracle = LayerIntegratedGradients(hf_q(model, batch), model.word_embedding)
    kwargs = {"additional_forward_args": (batch.attention_mask.long(),), "n_steps": 20, "method": captum_rule}
    if family == "roberta":  # positions follow the ids: give it those of the input
        kwargs["additional_forward_args"] = (batch.attention_mask.long(),)
    expected = oracle.attribute(batch.ids, baseline, **kwargs).sum(-1)
    g = path_trace(model, batch, rule, 20).g
    for row, n in enumerate(batch.lengths):
        if family == "roberta" and n < 6:
            continue  # the padded baseline has no padding ids, so captum's positions differ
        assert abs(found[row].tokens - expected[row, :n].detach().numpy()).max() < 1e-5
        assert abs(g[row, :n].numpy() - expected[row, :n].detach().numpy()).max() < 1e-5


def test_integrated_gradients_are_complete_at_every_layer(model, batch):
    trace = path_trace(model, batch, samples=50)
    for row, found in enumerate(IntegratedGradients().explain(model, batch)):
        change = float(trace.q[row] - trace.q_baseline[row])
        assert found.tokens.sum() == pytest.approx(change, abs=2e-3)
        assert found.nodes.sum(1) == pytest.approx(np.full(4, change), abs=2e-3)
        assert found.values["completeness_error"] == pytest.approx(float(trace.completeness[row]), abs=1e-6)
