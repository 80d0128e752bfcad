"""Coarser views of an explanation, derived from finer ones."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from flowgauge.core.errors import NotApplicable
from flowgauge.methods.explanation import Explanation
from flowgauge.methods.views import best_paths, circuit_scores, edge_flows, head_scores, mean_edges, positive_words, rank_nodes
from flowgauge.models.circuits.circuit_graph import CircuitGraph
from flowgauge.models.flow.graph import Patterns


def test_heads_are_read_from_edges_by_their_largest():
    edges = np.zeros((2, 3, 4, 4))
    edges[0, 1, 2, 3], edges[1, 2], edges[1, 0, 0, 0] = 5.0, -1.0, 2.0
    assert head_scores(Explanation(edges=edges)).tolist() == [[0, 5, 0], [2, 0, -1]]
    assert head_scores(Explanation(edges=edges, heads=np.ones((2, 3)))).tolist() == [[1, 1, 1], [1, 1, 1]]
    with pytest.raises(NotApplicable, match="edges for all heads together"):
        head_scores(Explanation(edges=edges[:, :1]))
    with pytest.raises(NotApplicable, match="gives tokens, from which heads cannot be ranked"):
        head_scores(Explanation(tokens=np.ones(3)))


def test_negative_edges_carry_nothing():
    """The product of two negative edges is no support."""
    edges = np.random.default_rng(0).standard_normal((3, 4, 4))
    assert (edge_flows(edges, 1) == edge_flows(edges.clip(min=0), 1)).all()
    edges = np.full((2, 1, 2, 2), -3.0)
    edges[0, 0, 0, 1], edges[1, 0, 0, 0] = 0.5, 2.0
    score = rank_nodes(Explanation(edges=edges), np.array([0, 1]), 0).score
    assert score.tolist() == [[0, 1], [1, 0], [1, 0]]


def test_edge_flows_equal_brute_force(edges):
    flows, paths = edge_flows(edges, 1), best_paths(edges, 1)
    walks = {}
    for walk in itertools.product(range(4), repeat=3):
        walks[(*walk, 1)] = edges[0, walk[1], walk[0]] * edges[1, walk[2], walk[1]] * edges[2, 1, walk[2]]
    for j, depth, i in itertools.product(range(4), range(4), range(4)):
        through = [p for w, p in walks.items() if w[0] == j and w[depth] == i]
        assert flows[j, depth, i] == pytest.approx(max(through, default=0))
    for j in range(4):
        best = max((p, w) for w, p in walks.items() if w[0] == j)
        assert paths.product[j] == pytest.approx(best[0]) and tuple(paths.positions[j]) == best[1]


def test_negative_edges_count_as_nothing():
    edges = np.array([[[[0.6, -2.0], [1.0, 0.0]], [[0.0, -1.0], [-3.0, 0.5]]]])
    assert mean_edges(edges)[0] == pytest.approx(np.array([[0.3, 0.0], [0.0, 0.25]]))


def test_rank_nodes_reads_each_view():
    nodes = np.array([[0.0, 1, 2], [5, 1, 5], [0, 3, 1]])
    ranking = rank_nodes(Explanation(nodes=nodes), np.array([0, 1]), 2)
    assert ranking.own.tolist() == [[True, True, False], [True, False, False], [False, False, True]]
    assert (ranking.score == nodes).all()
    flows = np.zeros((3, 3, 3))
    flows[0, 1], flows[1, 1], flows[2, 1] = [3, 1, 0], [0, 1, 4], [0, 9, 0]
    ranking = rank_nodes(Explanation(flows=flows), np.array([0, 1]), 2)
    assert ranking.own[1].tolist() == [True, False, True] and ranking.score[1].tolist() == [3, 1, 4]
    patterns = Patterns(
        np.array([0, 1]), np.array([1.0, -1]), np.array([0.5, -0.8]), np.array([[[0], [1], [2]], [[1], [0], [2]]])
    )
    ranking = rank_nodes(Explanation(tokens=np.array([1.0, -1, 0]), patterns=patterns), np.array([0]), 2)
    assert ranking.own.tolist() == [[True, False, False], [False, True, False], [False, False, True]]
    assert ranking.score[1].tolist() == [0, 0.5, 0]
    ranking = rank_nodes(Explanation(mask=np.arange(12.0).reshape(4, 3)), np.array([1]), 0)
    assert ranking.score.tolist() == [[3, 4, 5], [6, 7, 8], [9, 10, 11]]
    with pytest.raises(NotApplicable, match="gives mask of words, from which nodes cannot be ranked"):
        rank_nodes(Explanation(mask=np.arange(12.0).reshape(4, 3), fill=np.zeros((1, 5))), np.array([1]), 0)
    with pytest.raises(NotApplicable, match="gives tokens, from which nodes cannot be ranked"):
        rank_nodes(Explanation(tokens=np.ones(3)), np.array([0]), 2)
    with pytest.raises(NotApplicable, match="gives nodes, from which no word's sign"):
        positive_words(Explanation(nodes=nodes))


def test_heads_of_a_circuit_are_sums_of_outgoing_edges_and_circuits_are_not_derived():
    graph = CircuitGraph(2, 2)
    circuit = np.random.default_rng(0).normal(size=graph.shape) * graph.edges()
    by_hand = [[circuit[1].sum(), circuit[2].sum()], [circuit[4].sum(), circuit[5].sum()]]
    assert head_scores(Explanation(circuit=circuit)) == pytest.approx(np.array(by_hand))
    assert np.array_equal(circuit_scores(Explanation(circuit=circuit), "absolute"), abs(circuit))
    with pytest.raises(NotApplicable, match="gives edges, from which no circuit"):
        circuit_scores(Explanation(edges=np.ones((2, 2, 3, 3))), "signed")
