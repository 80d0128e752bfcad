"""Attribution graphs and trees of hand-made scores, and what holds for any scores."""

from __future__ import annotations

import numpy as np
import pytest

from flowgauge.core.errors import NotApplicable
from flowgauge.methods.gradients.attribution_graph import (
    AttributionGraph,
    Edge,
    Node,
    Residual,
    attribution_graph,
    attribution_tree,
    layer_scores,
)


def scores(n_layers: int, n_tokens: int, **entries: float) -> np.ndarray:
    """Zeros but for entries such as l1_20=0.5: layer 1, query 2, key 0."""
    made = np.zeros((n_layers, n_tokens, n_tokens))
    for name, score in entries.items():
        made[int(name[1]), int(name[3]), int(name[4])] = score
    return made


def pairs(graph) -> list[tuple[int, int, int]]:
    return [edge[:3] for edge in graph.edges]


def test_edges_go_by_score_from_the_last_layer_down():
    found = attribution_graph(scores(2, 4, l1_01=0.1, l1_02=0.5, l0_21=0.9, l0_13=0.8, l0_23=0.3), tau=0.4)
    assert found.edges == (
        Edge(1, 0, 2, 0.5, 1.0), Edge(1, 0, 1, 0.1, 0.2), Edge(0, 2, 1, 0.9, 1.0), Edge(0, 1, 3, 0.8, 0.8 / 0.9),
    )  # fmt: skip
    assert (found.root, found.n_layers) == (0, 2)


def test_in_the_last_layer_every_positive_edge_stays():
    found = attribution_graph(scores(2, 4, l1_01=1.0, l1_02=0.001, l1_03=-0.5, l0_12=1.0, l0_13=0.4, l0_23=0.41), tau=0.4)
    assert pairs(found) == [(1, 0, 1), (1, 0, 2), (0, 1, 2), (0, 2, 3)]  # 0.4 is not above tau


def test_a_pair_is_taken_once_and_the_higher_layer_wins():
    again = attribution_graph(scores(3, 3, l2_01=0.2, l1_12=0.5, l0_01=9.0, l0_12=9.0))
    assert pairs(again) == [(2, 0, 1), (1, 1, 2)]
    reversed_below = attribution_graph(scores(2, 3, l1_01=0.2, l0_10=9.0, l0_12=8.0))
    assert pairs(reversed_below) == [(1, 0, 1), (0, 1, 2)]
    reversed_beside = attribution_graph(scores(2, 3, l1_01=0.2, l0_12=0.8, l0_21=0.9))
    assert pairs(reversed_beside) == [(1, 0, 1), (0, 2, 1)]  # the stronger of the two


def test_self_edges_are_residuals_alone():
    found = attribution_graph(scores(3, 3, l2_00=5.0, l2_01=1.0, l1_11=5.0, l1_12=4.0, l0_10=3.0, l0_22=3.0, l0_12=3.0))
    assert pairs(found) == [(2, 0, 1), (1, 1, 2)]
    assert found.nodes == (Node(0, 3), Node(1, 2), Node(2, 1))
    assert found.residuals == ()
    deep = attribution_graph(scores(3, 4, l2_01=1.0, l0_12=1.0, l0_30=0.9))
    assert deep.residuals == (Residual(0, 3, 0), Residual(1, 2, 1))


def test_negative_layers_have_no_edges():
    assert attribution_graph(-np.ones((3, 4, 4))).edges == ()
    assert attribution_graph(np.zeros((3, 4, 4))).nodes == (Node(0, 3),)


def test_separators_that_end_up_leaves_are_dropped():
    entries = {"l1_01": 0.5, "l1_03": 0.4, "l0_12": 1.0, "l0_13": 0.9}
    assert pairs(attribution_graph(scores(2, 4, **entries))) == [(1, 0, 1), (1, 0, 3), (0, 1, 2), (0, 1, 3)]
    assert pairs(attribution_graph(scores(2, 4, **entries), separators=[3])) == [(1, 0, 1), (0, 1, 2)]
    passing = attribution_graph(scores(2, 4, l1_03=0.4, l0_32=1.0), separators=[3])
    assert pairs(passing) == [(1, 0, 3), (0, 3, 2)]  # it gathers from 2, so it is no leaf


def test_a_separator_above_a_dropped_one_is_dropped_too():
    found = attribution_graph(scores(3, 4, l2_01=0.3, l2_02=0.5, l1_23=1.0, l0_31=0.0), separators=[2, 3])
    assert pairs(found) == [(2, 0, 1)]
    copies = attribution_graph(scores(3, 4, l2_02=0.5, l2_01=0.4, l1_12=1.0), separators=[2])
    assert pairs(copies) == [(2, 0, 1)]  # 2 at depth 2 has its copy at depth 1 below it, until that goes


def test_the_root_is_not_dropped():
    assert attribution_graph(np.zeros((2, 3, 3)), separators=[0]).nodes == (Node(0, 2),)


def test_connected_only_leaves_out_what_the_root_does_not_reach():
    made = scores(3, 5, l2_01=0.5, l1_34=1.0, l1_12=0.9, l0_23=0.8, l0_41=0.7)
    assert pairs(attribution_graph(made)) == [(2, 0, 1), (1, 3, 4), (1, 1, 2), (0, 2, 3), (0, 4, 1)]
    assert pairs(attribution_graph(made, connected_only=True)) == [(2, 0, 1), (1, 1, 2), (0, 2, 3)]
    within = scores(2, 4, l1_01=0.5, l0_12=1.0, l0_23=0.9)  # 2 is at depth 0, and cannot ask in layer 0
    assert pairs(attribution_graph(within, connected_only=True)) == [(1, 0, 1), (0, 1, 2)]


def test_connected_graphs_lead_every_node_to_the_root():
    rng = np.random.default_rng(0)
    for _ in range(30):
        found = attribution_graph(rng.normal(size=(4, 6, 6)), 2, connected_only=True, separators=[5])
        up = {Node(e.key, e.layer): Node(e.query, e.layer + 1) for e in found.edges}
        up |= {Node(r.token, r.lower): Node(r.token, r.upper) for r in found.residuals}
        for start in found.nodes:
            node = start
            while node != Node(2, 4):
                node = up[node]


def test_what_holds_for_any_graph():
    rng = np.random.default_rng(1)
    for _ in range(50):
        made = rng.normal(size=(4, 6, 6))
        found = attribution_graph(made, 1, tau=0.3, separators=[0])
        assert len({frozenset(edge[1:3]) for edge in found.edges}) == len(found.edges)
        assert all(edge.query != edge.key for edge in found.edges)
        assert all(made[edge[:3]] == edge.score > 0.3 * made[edge.layer].max() for edge in found.edges if edge.layer < 3)
        assert [e.layer for e in found.edges] == sorted((e.layer for e in found.edges), reverse=True)
        assert not {leaf.token for leaf in found.leaves} & {0}
        fewer = attribution_graph(made, 1, tau=0.6)
        assert {e for e in fewer.edges if e.layer == 2} <= {e for e in attribution_graph(made, 1, tau=0.3).edges if e.layer == 2}


TREE = scores(
    3, 5,
    l2_01=9.0,  # the last layer plays no part
    l1_21=1.0, l1_24=0.5, l1_32=0.9, l1_20=0.1, l1_02=99.0,  # children of 2: 1 and 4; 3 is not in the tree yet; 0 is too weak
    l0_13=1.0, l0_30=0.6, l0_43=0.5, l0_41=0.45, l0_14=0.3,  # 1 takes 3, which then takes 0; 4 comes too late for 3
)  # fmt: skip


def test_a_tree_by_hand():
    found = attribution_tree(TREE)
    assert found.root == 2
    assert found.edges == (Edge(1, 2, 1, 1.0, 1.0), Edge(1, 2, 4, 0.5, 0.5), Edge(0, 1, 3, 1.0, 1.0), Edge(0, 3, 0, 0.6, 0.6))
    assert found.depths == {2: 2, 1: 1, 4: 1, 3: 0, 0: 0}


def test_a_trees_edges_depend_on_the_order_of_the_sentence():
    """The same scores with tokens 1 and 3 exchanged: 3 asks before it is in the tree, so 0 stays out."""
    order = [0, 3, 2, 1, 4]
    found = attribution_tree(TREE[:, order][:, :, order])
    assert found.edges == (Edge(1, 2, 3, 1.0, 1.0), Edge(1, 2, 4, 0.5, 0.5), Edge(0, 3, 1, 1.0, 1.0))


def literal_tree(made: np.ndarray, tau: float) -> tuple[int, set[tuple[int, int, int]]]:
    """Step by step as the specification tells it, with states and normalised scores."""
    n_layers, n = made.shape[:2]
    p = []
    for layer in range(n_layers - 1):
        q = made[layer] / abs(made[layer][1:].max())
        p.append(np.where(q <= tau, 0, q))
    total = made.sum(0) / abs(made.sum(0).max())
    np.fill_diagonal(total, 0)
    total[total < 0] = 0
    total[0] = 0
    root, state = int(total.sum(1).argmax()), ["unseen"] * n
    edges = set()
    state[root] = "open"
    for i in range(n):
        if p[n_layers - 2][root, i] > tau and i != root:
            state[i] = "open"
            edges.add((n_layers - 2, root, i))
    state[root] = "fixed"
    for layer in range(n_layers - 3, -1, -1):
        for i in range(1, n):
            for j in range(n):
                if p[layer][i, j] >= tau and state[i] != "unseen" and state[j] == "unseen":
                    edges.add((layer, i, j))
                    state[j], state[i] = "open", "fixed"
    return root, edges


def test_trees_equal_the_literal_algorithm():
    rng = np.random.default_rng(2)
    for _ in range(50):
        made = rng.normal(size=(5, 7, 7))
        found = attribution_tree(made, tau=0.4)
        assert (found.root, set(pairs(found))) == literal_tree(made, 0.4)
        tokens = [edge.key for edge in found.edges]
        assert len(set(tokens)) == len(tokens) <= 6 and found.root not in tokens
        assert set(found.depths) == {found.root, *tokens}
        few, many = ({e for e in attribution_tree(made, tau=t).edges if e.layer == 3} for t in (0.7, 0.2))
        assert few <= many


def test_the_target_of_a_tree_may_stand_anywhere():
    order = [1, 2, 3, 0, 4]  # the target moves from 0 to 3, the others keep their order
    moved = attribution_tree(TREE[:, order][:, :, order], target=3)
    assert [(e.layer, order[e.query], order[e.key]) for e in moved.edges] == pairs(attribution_tree(TREE))


def test_layer_scores_are_sums_over_heads():
    edges = np.arange(16.0).reshape(2, 2, 2, 2)
    assert layer_scores(edges)[0].tolist() == [[4, 6], [8, 10]]


def test_bad_input_says_what_was_expected():
    with pytest.raises(ValueError, match=r"tau must lie in \[0, 1\), got 1"):
        attribution_graph(np.zeros((2, 3, 3)), tau=1)
    with pytest.raises(ValueError, match="position 3 of 3 tokens"):
        attribution_graph(np.zeros((2, 3, 3)), 3)
    with pytest.raises(ValueError, match="position -1 of 3 tokens"):
        attribution_tree(np.zeros((2, 3, 3)), -1)
    with pytest.raises(NotApplicable, match="two layers"):
        attribution_tree(np.zeros((1, 3, 3)))
    assert AttributionGraph(0, 2, ()).leaves == {Node(0, 2)}
