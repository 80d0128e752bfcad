"""GlobEnc against loops over positions and heads on the submodules of Hugging Face's models."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.methods.decomposition.conftest import bert_parts, clean_sites, held, llama_parts

from flowgauge.methods.decomposition.globenc import GlobEnc


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_edges_are_norms_of_parts(models, batches, single, family):
    model = models(family)
    batch = batches(model, [5, 3])
    for row, explanation in enumerate(GlobEnc().explain(model, batch)):
        hidden, weights = clean_sites(model, single(batch, row))
        product = np.eye(batch.lengths[row])
        for layer in range(3):
            if family == "bert":
                parts, _, before, _ = bert_parts(model.hf, layer, hidden[layer], weights[layer])
                norm2 = model.hf.bert.encoder.layer[layer].output.LayerNorm
                parts = torch.stack([torch.stack([held(norm2, x, before[i]) for x in own]) for i, own in enumerate(parts)])
            else:
                parts, _ = llama_parts(model.hf, layer, hidden[layer], weights[layer])
            norms = parts.norm(dim=-1).numpy()
            assert explanation.edges[layer, 0] == pytest.approx(norms / norms.sum(1, keepdims=True), abs=1e-10)
            product = explanation.edges[layer, 0] @ product
        assert explanation.tokens == pytest.approx(product[int(batch.target[row])], abs=1e-12)
        assert explanation.tokens.sum() == pytest.approx(1, abs=1e-12)
