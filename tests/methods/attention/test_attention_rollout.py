"""Attention rollout against closed forms and sums over paths."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from tests.methods.attention.conftest import random_graph

from flowgauge.methods.attention.attention_flow import AttentionFlow
from flowgauge.methods.attention.attention_graph import attention_maps
from flowgauge.methods.attention.attention_paths import AttentionPaths
from flowgauge.methods.attention.attention_rollout import AttentionRollout, rollout, target_rows
from flowgauge.methods.attention.max_flow import target_flows


def test_rollout_of_identity_attention_is_the_identity():
    eye = torch.eye(5, dtype=torch.float64).expand(1, 4, 5, 5)
    assert (rollout(eye)[0, -1] == torch.eye(5)).all()
    assert target_rows(eye, torch.tensor([3]))[0].tolist() == [[0, 0, 0, 1, 0]] * 5
    assert target_flows(eye[0].numpy(), 3).tolist() == [[0, 0, 0, 1, 0]] * 5


def test_rollout_of_uniform_attention_has_a_closed_form():
    n, layers = 5, 4
    eye, uniform = torch.eye(n, dtype=torch.float64), torch.full((n, n), 1 / n, dtype=torch.float64)
    found = rollout((0.5 * eye + 0.5 * uniform).expand(2, layers, n, n))
    for depth in range(layers + 1):
        expected = 2.0**-depth * eye + (1 - 2.0**-depth) * uniform
        assert torch.allclose(found[1, depth], expected, atol=1e-15)


def test_rows_from_the_top_are_those_of_the_whole_product():
    graph, target = torch.cat([random_graph(4, 6, s) for s in range(3)]), torch.tensor([0, 5, 2])
    whole, rows = rollout(graph), target_rows(graph, target)
    assert torch.allclose(whole.sum(-1), torch.ones(3, 5, 6, dtype=torch.float64), atol=1e-14)
    assert torch.allclose(rows[:, 0], whole[torch.arange(3), -1, target], atol=1e-15)
    assert torch.allclose(rows[:, 2], (graph[:, 3] @ graph[:, 2])[torch.arange(3), target], atol=1e-15)


def test_rollout_conserves_flow_in_every_layer(model, batch):
    weights = attention_maps(model, batch)
    for row, (n, found) in enumerate(zip(batch.lengths, AttentionRollout(0.4).explain(model, batch), strict=True)):
        product = torch.eye(n, dtype=torch.float64)
        for layer in weights:
            product = (0.6 * layer[row].mean(0)[:n, :n] + 0.4 * torch.eye(n, dtype=torch.float64)) @ product
        assert found.tokens == pytest.approx(product[2].numpy(), abs=1e-15)
        assert found.flows.sum(2) == pytest.approx(np.repeat(found.tokens[:, None], 4, 1), abs=1e-15)
        assert found.flows.sum(0) == pytest.approx(found.nodes, abs=1e-15)
        assert found.nodes.sum(1) == pytest.approx(np.ones(4), abs=1e-14)
        assert found.flows[:, 0] == pytest.approx(np.diag(found.tokens), abs=1e-15)
        assert found.nodes[3].tolist() == [0, 0, 1, *[0] * (n - 3)]


def test_flows_are_sums_over_paths(model, batch):
    found, edges = AttentionRollout().explain(model, batch)[2], AttentionPaths().explain(model, batch)[2].edges[:, 0]
    through = np.zeros((4, 4, 4))
    for walk in itertools.product(range(4), repeat=3):
        product = edges[0, walk[1], walk[0]] * edges[1, walk[2], walk[1]] * edges[2, 2, walk[2]]
        for depth, i in enumerate((*walk, 2)):
            through[walk[0], depth, i] += product
    assert found.flows == pytest.approx(through, abs=1e-15)


def test_depth_reads_a_lower_layer_and_passes_the_target_on(model, batch):
    for method in (AttentionRollout(depth=1), AttentionFlow(depth=1)):  # one layer: flow = rollout = its own weights
        for row, found in enumerate(method.explain(model, batch)):
            edges = AttentionPaths().explain(model, batch)[row].edges
            assert found.tokens == pytest.approx(edges[0, 0, 2], abs=1e-12)
            assert found.nodes[1:].tolist() == [np.eye(len(found.tokens))[2].tolist()] * 3
    assert AttentionRollout(depth=3).explain(model, batch)[0].tokens.tolist() == pytest.approx(
        AttentionRollout().explain(model, batch)[0].tokens.tolist(), abs=0
    )
