"""Bounds and invariances of attention flow."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.methods.attention.conftest import random_graph

from flowgauge.methods.attention.attention_flow import AttentionFlow
from flowgauge.methods.attention.attention_rollout import target_rows
from flowgauge.methods.attention.max_flow import bottom_flows, target_flows


@pytest.mark.parametrize("sharp", [0.1, 1.0, 5.0])
def test_flow_lies_between_rollout_and_what_its_ends_carry(sharp):
    for seed in range(5):
        graph = random_graph(5, 7, seed, sharp)
        flows, rows = target_flows(graph[0].numpy(), 1), target_rows(graph, torch.tensor([1]))[0].numpy()
        assert (flows >= rows - 1e-8).all()
        assert (flows[:-1] <= np.minimum(1, graph[0].sum(1).numpy()) + 1e-8).all()
        assert flows[-2] == pytest.approx(rows[-2], abs=1e-15)  # one layer: both are its weights
    assert flows.max() <= 1


def test_flow_does_not_depend_on_the_order_of_positions():
    graph, order = random_graph(4, 6, 8)[0].numpy(), np.random.default_rng(0).permutation(6)
    moved = graph[:, order][:, :, order]
    assert bottom_flows(moved, int(np.flatnonzero(order == 3)[0])) == pytest.approx(bottom_flows(graph, 3)[order], abs=1e-8)


def test_normalised_flow_sums_to_one_in_every_layer(model, batch):
    raw, shares = AttentionFlow(normalise=False).explain(model, batch), AttentionFlow().explain(model, batch)
    for one, two in zip(raw, shares, strict=True):
        assert one.tokens.sum() > 1.2  # words are asked for one by one
        assert two.nodes == pytest.approx(one.nodes / one.nodes.sum(1, keepdims=True), abs=1e-15)
        assert two.nodes.sum(1) == pytest.approx(np.ones(4)) and (two.tokens == two.nodes[0]).all()
