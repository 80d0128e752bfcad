"""Conductance against captum's own, and its conservation."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from captum.attr import LayerConductance

from flowgauge.methods.gradients.conductance import Conductance
from flowgauge.methods.patterns.influence_patterns import InfluencePatterns


def test_conductance_sums_to_g_at_every_layer_and_equals_captums(model, batches):
    batch = batches(model, [6, 6])
    model.hf.set_attn_implementation("eager")
    found = Conductance(samples=200).explain(model, batch)
    patterns = InfluencePatterns(samples=200).explain(model, batch)
    baseline = torch.full_like(batch.ids, model.tokenizer.mask_token_id)
    words, base = model.word_embedding(batch.ids).detach(), model.word_embedding(baseline).detach()

    def forward(vectors):
        logits = model.hf(inputs_embeds=vectors, attention_mask=torch.ones(vectors.shape[:2], dtype=torch.long)).logits[:, 2]
        return logits[:, 7] - logits[:, 8]

    for row in range(2):
        assert found[row].nodes.sum(1) == pytest.approx(np.full(4, found[row].tokens.sum()), abs=1e-9)
        sign = np.where(found[row].tokens < 0, -1, 1)
        assert found[row].flows.sum(2) * sign[:, None] == pytest.approx(np.repeat(found[row].tokens[:, None], 4, 1), abs=1e-9)
        influence = patterns[row].patterns
        assert found[row].tokens[influence.source] == pytest.approx(influence.total, abs=1e-12)
    for layer in range(3):
        oracle = LayerConductance(forward, model.hf.bert.encoder.layer[layer]).attribute(
            words, base, n_steps=200, method="riemann_middle"
        )
        expected = oracle.detach().sum(-1).numpy()
        for row in range(2):
            scale = abs(expected[row]).max()
            assert abs(found[row].nodes[layer + 1] - expected[row]).max() < 0.02 * scale  # captum's own quadrature error
