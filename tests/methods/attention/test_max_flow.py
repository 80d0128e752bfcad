"""Maximum flow against minimum cuts and NetworkX."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from tests.methods.attention.conftest import random_graph

from flowgauge.methods.attention.max_flow import target_flows


def smallest_cut(graph, target, layer, sink):
    """Brute force: the smallest capacity that leaves any set of nodes holding the source and not the sink."""
    inner = [(depth, i) for depth in range(layer + 1, len(graph)) for i in range(graph.shape[-1])]
    best = np.inf
    for side in itertools.product((False, True), repeat=len(inner)):
        near = {(len(graph), target), *(node for node, chosen in zip(inner, side, strict=True) if chosen)}
        cut = 0.0
        for depth, i in near:
            below = range(graph.shape[-1]) if depth - 1 > layer else (sink,)
            cut += sum(graph[depth - 1, i, p] for p in below if (depth - 1, p) not in near)
        best = min(best, cut)
    return best


@pytest.mark.parametrize("layers", [1, 2, 3, 4])
@pytest.mark.parametrize("sharp", [0.3, 3.0])
def test_flow_is_the_smallest_cut(layers, sharp):
    graph = random_graph(layers, 3, layers, sharp)[0].numpy()
    for target in range(3):
        found = target_flows(graph, target)
        expected = [[smallest_cut(graph, target, layer, sink) for sink in range(3)] for layer in range(layers)]
        assert found[:-1] == pytest.approx(np.array(expected), abs=1e-8)
        assert found[-1].tolist() == np.eye(3)[target].tolist()


def test_flow_is_networkx_flow():
    networkx = pytest.importorskip("networkx")
    graph = random_graph(5, 6, 3, 2.0)[0].numpy()
    whole = networkx.DiGraph()
    for layer, i, p in itertools.product(range(5), range(6), range(6)):
        whole.add_edge((layer + 1, i), (layer, p), capacity=graph[layer, i, p])
    found = target_flows(graph, 4)
    for layer, sink in itertools.product(range(5), range(6)):
        assert found[layer, sink] == pytest.approx(networkx.maximum_flow_value(whole, (5, 4), (layer, sink)), abs=1e-8)


def test_what_reaches_a_node_can_go_on_to_the_words():
    """The reading of nodes: with all words joined in one sink, what passes the node is what can reach it."""
    networkx = pytest.importorskip("networkx")
    graph = random_graph(4, 4, 5, 2.0)[0].numpy()
    found = target_flows(graph, 0)
    for node in itertools.product((1, 2, 3), range(4)):
        through = networkx.DiGraph()
        for layer, i, p in itertools.product(range(4), range(4), range(4)):
            ends = [(layer + 1, i), (layer, p) if layer else "words"]
            if all(end == "words" or end[0] != node[0] or end == node for end in ends):
                known = through.get_edge_data(*ends, {"capacity": 0.0})["capacity"]
                through.add_edge(*ends, capacity=known + graph[layer, i, p])
        assert found[node] == pytest.approx(networkx.maximum_flow_value(through, (4, 0), "words"), abs=1e-8)
