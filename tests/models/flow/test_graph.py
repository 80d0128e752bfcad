"""Patterns, their subgraph and path counts, by hand."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from flowgauge.models.flow.graph import ALL_HEADS, NO_EDGE, SKIP, Patterns, Subgraph, all_paths


def two_patterns() -> Patterns:
    """Two layers, three tokens: 0 -> 1 -> 2 by head 1 and all heads, and 2 -> 2 -> 2 by the skip and head 0."""
    heads = np.array([[1, ALL_HEADS], [SKIP, 0]])[:, :, None, None]
    return Patterns(
        source=np.array([0, 2]), total=np.array([1.0, -2.0]), influence=np.array([0.5, -1.0]),
        positions=np.array([[0, 1, 2], [2, 2, 2]])[..., None], heads=heads,
    )  # fmt: skip


def test_the_subgraph_is_the_union_of_the_patterns_nodes() -> None:
    graph = two_patterns().subgraph(3, n_heads=2)
    assert graph.heads is not None and graph.skips is not None
    assert graph.nodes.tolist() == [[True, False, True], [False, True, True], [False, False, True]]
    assert np.argwhere(graph.heads).tolist() == [[0, 1, 1], [1, 2, 0], [1, 2, 1]]
    assert np.argwhere(graph.skips).tolist() == [[0, 2]]
    assert len(two_patterns().select(np.array([False, True]))) == 1
    assert two_patterns().subgraph(3).heads is None


def test_path_counts_are_those_of_enumeration() -> None:
    rng = np.random.default_rng(0)
    nodes, heads, skips = rng.random((4, 3)) < 0.8, rng.random((3, 3, 2)) < 0.6, rng.random((3, 3)) < 0.6
    nodes[-1, 1] = heads[-1, 1, 0] = True
    expected = 0
    for walk in itertools.product(range(3), repeat=4):
        if walk[-1] == 1 and all(nodes[depth, position] for depth, position in enumerate(walk)):
            edges = (int(heads[i, b].sum()) + int(a == b and skips[i, b]) for i, (a, b) in enumerate(itertools.pairwise(walk)))
            expected += int(np.prod(list(edges)))
    assert expected > 0 and Subgraph(nodes, heads, skips).paths(1) == expected
    assert all_paths(3, 3) == Subgraph(np.ones((4, 3), bool)).paths(0) == 27


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"positions": np.zeros((1, 3, 1), int)}, r"positions must be \(patterns, L\+1, k\) for 2 patterns"),
        ({"heads": np.full((2, 3, 1, 1), NO_EDGE)}, r"heads must be \(2, 2, 1, 1\), got \(2, 3, 1, 1\)"),
        ({"influence": np.array([0.5, np.nan])}, "influence must be 2 finite numbers"),
    ],
)
def test_patterns_that_do_not_match_are_refused(change: dict[str, Any], message: str) -> None:
    fields = {name: getattr(two_patterns(), name) for name in Patterns.__dataclass_fields__}
    with pytest.raises(ValueError, match=message):
        Patterns(**{**fields, **change})


def test_a_subgraph_needs_heads_and_skips_or_neither() -> None:
    with pytest.raises(ValueError, match="needs heads and skips"):
        Subgraph(np.ones((2, 2), bool), np.ones((1, 2, 2), bool))


def test_path_counts_equal_enumeration():
    rng = np.random.default_rng(3)
    for _ in range(20):
        nodes, heads, skips = rng.random((4, 3)) < 0.7, rng.random((3, 3, 2)) < 0.5, rng.random((3, 3)) < 0.5
        count, count_heads = 0, 0
        for walk in itertools.product(range(3), repeat=4):
            if walk[-1] == 1 and all(nodes[depth, i] for depth, i in enumerate(walk)):
                count += 1
                ways = [int(heads[n, walk[n + 1]].sum()) + (skips[n, walk[n]] if walk[n] == walk[n + 1] else 0) for n in range(3)]
                count_heads += int(np.prod(ways))
        assert Subgraph(nodes).paths(1) == count
        assert Subgraph(nodes, heads, skips).paths(1) == count_heads
    whole = Subgraph(np.ones((7, 11), bool), np.ones((6, 11, 8), bool), np.ones((6, 11), bool))
    assert whole.paths(7) == all_paths(6, 11, 8) == 89**6


@pytest.mark.parametrize("window", [2, 9])
def test_path_counts_follow_the_edges_that_there_are(window):
    rng, distance = np.random.default_rng(1), np.subtract.outer(np.arange(4), np.arange(4))
    attends = np.repeat(((distance >= 0) & (distance < window))[None], 3, 0)
    nodes, heads, skips = rng.random((4, 4)) < 0.8, rng.random((3, 4, 2)) < 0.7, rng.random((3, 4)) < 0.7
    nodes[-1, 3] = True
    walks = [(*walk, 3) for walk in itertools.product(range(4), repeat=3)]
    there = [w for w in walks if all(attends[at, w[at + 1], w[at]] for at in range(3))]
    assert all_paths(3, 4, attends=attends, target=3) == len(there) < 4**3
    kept = [w for w in there if all(nodes[depth, w[depth]] for depth in range(4))]
    assert Subgraph(nodes).paths(3, attends) == len(kept) > 0
    ways = [np.prod([heads[at, w[at + 1]].sum() + (skips[at, w[at]] and w[at] == w[at + 1]) for at in range(3)]) for w in kept]
    assert Subgraph(nodes, heads, skips).paths(3, attends) == sum(ways)
    every = [np.prod([2 + (w[at] == w[at + 1]) for at in range(3)]) for w in there]
    assert all_paths(3, 4, 2, attends, 3) == sum(every)
