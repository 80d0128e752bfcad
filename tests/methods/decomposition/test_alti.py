"""ALTI against loops over positions and heads on the submodules of Hugging Face's models, and a case solved by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.methods.decomposition.conftest import bert_parts, clean_sites, llama_parts

from flowgauge.methods.decomposition.alti import Alti, proximity


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_edges_are_distances_of_parts_from_the_whole(models, batches, single, family):
    model = models(family)
    batch = batches(model, [5, 3])
    for row, explanation in enumerate(Alti().explain(model, batch)):
        hidden, weights = clean_sites(model, single(batch, row))
        n, product = batch.lengths[row], np.eye(batch.lengths[row])
        for layer in range(3):
            parts_of = bert_parts if family == "bert" else llama_parts
            parts, whole, *_ = parts_of(model.hf, layer, hidden[layer], weights[layer])
            near = np.zeros((n, n))
            for i in range(n):
                for j in range(n):
                    near[i, j] = max(0.0, float(whole[i].abs().sum() - (whole[i] - parts[i, j]).abs().sum()))
            assert explanation.edges[layer, 0] == pytest.approx(near / near.sum(1, keepdims=True), abs=1e-10)
            product = explanation.edges[layer, 0] @ product
        assert explanation.tokens == pytest.approx(product[int(batch.target[row])], abs=1e-12)
        assert explanation.flows.sum(2) == pytest.approx(np.repeat(explanation.tokens[:, None], 4, 1), abs=1e-12)


def test_the_nearness_of_a_part_is_bounded_by_the_whole_and_reached_by_it():
    whole = torch.randn(4, 1, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    length = whole.abs().sum(-1)
    assert torch.allclose(proximity(whole, whole), length)
    assert torch.allclose(proximity(0.25 * whole, whole), 0.25 * length)
    assert not proximity(-whole, whole).any() and not proximity(0 * whole, whole).any()


def test_later_positions_have_no_share(models, batches):
    model = models("gpt2")
    batch = replace(batches(model, [6, 5]), target=torch.tensor([2, 2]), cache={})
    for explanation in Alti().explain(model, batch):
        assert explanation.edges is not None and not np.triu(explanation.edges, 1).any() and not explanation.tokens[3:].any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_small_parts_of_a_wide_vector_are_told_apart_in_half_precision(dtype):
    """Sums of nearly the same size are subtracted, so that they are added up in double precision."""
    random = torch.Generator().manual_seed(0)
    whole = torch.randn(512, generator=random).to(dtype)
    parts = (torch.randn(50, 512, generator=random) / 100 + whole / 40).to(dtype)
    exact = proximity(parts.double(), whole.double())
    assert (proximity(parts, whole) - exact).abs().max() < 1e-3 * exact.max() and len(exact.unique()) == 50
