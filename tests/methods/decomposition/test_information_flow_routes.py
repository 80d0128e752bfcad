"""Information flow routes against loops over heads and a search of paths."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.methods.decomposition.conftest import clean_sites, held

from flowgauge.core.errors import UsageError
from flowgauge.methods.decomposition.information_flow_routes import InformationFlowRoutes, kept_routes


def importance(model, hidden, weights, layer):
    """e_l (N, N) of one sentence by loops, on the submodules of a Llama or a BERT of transformers."""
    if model.hf.config.model_type == "bert":
        own = model.hf.bert.encoder.layer[layer]
        output, value, norm = own.attention.output.dense, own.attention.self.value(hidden), own.attention.output.LayerNorm
        groups = 1
    else:
        own = model.hf.model.layers[layer]
        output, norm = own.self_attn.o_proj, None
        value = own.self_attn.v_proj(torch.stack([held(own.input_layernorm, x, x) for x in hidden]))
        groups = 2
    heads, n = len(weights), len(hidden)
    value, blocks = value.unflatten(-1, (heads // groups, -1)), output.weight.unflatten(1, (heads, -1))
    result = np.zeros((n, n))
    for i in range(n):
        written = {
            (p, h): weights[h, i, p] * blocks[:, h] @ value[p, h // groups] for p, h in itertools.product(range(n), range(heads))
        }
        before = sum(written.values()) + hidden[i] + (0 if output.bias is None else output.bias)
        whole = before if norm is None else norm(before)
        for (p, _), part in [*written.items(), ((i, None), hidden[i])]:
            part = part if norm is None else held(norm, part, before)
            result[i, p] += max(0.0, float(whole.abs().sum() - (whole - part).abs().sum()))
    return result / result.sum(1, keepdims=True)


@pytest.mark.parametrize("family", ["bert", "llama"])
@pytest.mark.parametrize("tau", [0.0, 0.2])
def test_kept_edges_lie_on_a_path_of_edges_above_the_threshold(models, batches, single, family, tau):
    model = models(family)
    batch = batches(model, [5, 3])
    for row, explanation in enumerate(InformationFlowRoutes(tau).explain(model, batch)):
        hidden, weights = clean_sites(model, single(batch, row))
        n, target = batch.lengths[row], int(batch.target[row])
        graph = [importance(model, hidden[layer], weights[layer], layer) for layer in range(3)]
        edges, words = np.zeros((3, n, n)), np.zeros(n)
        for length in (1, 2, 3):  # paths down from the target, whole or not
            for walk in itertools.product(range(n), repeat=length):
                steps = [(2 - s, i, p) for s, (i, p) in enumerate(itertools.pairwise((target, *walk)))]
                sizes = [graph[layer][i, p] for layer, i, p in steps]
                if min(sizes) > tau:
                    edges[steps[-1]] = sizes[-1]
                    words[walk[-1]] += np.prod(sizes) if length == 3 else 0
        assert explanation.edges[:, 0] == pytest.approx(edges, abs=1e-10)
        assert explanation.tokens == pytest.approx(words, abs=1e-10)
        if tau == 0:
            assert explanation.tokens.sum() == pytest.approx(1, abs=1e-12)
        else:
            assert 0 < explanation.tokens.sum() < 0.99


def test_weak_edges_end_a_route():
    importance = torch.tensor([[[[0.9, 0.1], [0.5, 0.5]], [[0.0, 1.0], [0.3, 0.7]]]], dtype=torch.float64)
    assert not kept_routes(importance, torch.tensor([1]), 0.4)[0, 0, 0].any(), "a state below a weak edge is not reached"
    assert kept_routes(importance, torch.tensor([1]), 0.2)[0, 0, 0].tolist() == [0.9, 0]


def test_later_positions_are_on_no_route(models, batches):
    model = models("gpt2")
    batch = replace(batches(model, [6, 5]), target=torch.tensor([2, 2]), cache={})
    for explanation in InformationFlowRoutes(0.0).explain(model, batch):
        assert explanation.edges is not None and not np.triu(explanation.edges, 1).any() and not explanation.edges[:, :, 3:].any()
        assert not explanation.tokens[3:].any() and explanation.tokens[:3].sum() == pytest.approx(1, abs=1e-12)


@pytest.mark.parametrize("tau", [-0.1, 0.5])
def test_thresholds_out_of_range_are_refused(tau):
    with pytest.raises(UsageError, match="tau must be"):
        InformationFlowRoutes(tau)
