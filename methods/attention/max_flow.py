"""Maximum flow from the target down a layered graph of attention, solved by SciPy in integers."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_array
from scipy.sparse.csgraph import maximum_flow

SCALE = 2**30
"""Capacities are rounded to multiples of 1 / SCALE, about 1e-9; no flow exceeds the source's capacity of 1, so int32 holds it."""


def target_flows(graph: Float[np.ndarray, "layers tokens tokens"], target: int) -> Float[np.ndarray, "depths tokens"]:
    """Maximum flow from the target at hidden[L] to each node (l, i), l = 0..L, by `bottom_flows` of the layers above it.

    Where rows sum to 1, all flow into a node can go on to the words, so this is also the largest flow from the target to the
    words through the node.

    Args:
        graph: Capacities [l, i, p] of the edges from (l + 1, i) to (l, p).
        target: Position of the source at hidden[L].

    Returns:
        One flow for each node, in [0, 1].

    >>> target_flows(np.array([[[0.5, 0.5], [0.25, 0.75]], [[0.5, 0.5], [0.0, 1.0]]]), 0).tolist()
    [[0.75, 1.0], [0.5, 0.5], [1.0, 0.0]]
    """
    rows = [bottom_flows(graph[layer:], target) for layer in range(len(graph))]
    return np.stack([*rows, np.eye(graph.shape[-1])[target]])


def bottom_flows(graph: Float[np.ndarray, "layers tokens tokens"], target: int) -> Float[np.ndarray, " tokens"]:
    """Maximum flow from the target above the last layer to each position below the first, each solved separately.

    One layer: the edge itself. Two layers: sum_i min(graph[1, target, i], graph[0, i, p]), exact because these paths share no
    edge. More: Dinic's algorithm on integer capacities; every edge of a cut may be off by half of 1 / SCALE. Where rows sum to 1,
    rollout <= flow <= min(1, sum_i graph[0, i, p]).

    Args:
        graph: Capacities [l, i, p], as for `target_flows`.
        target: Position of the source.

    Returns:
        One flow for each position, in [0, 1].

    >>> bottom_flows(np.array([[[0.5, 0.5], [0.25, 0.75]], [[0.5, 0.5], [0.0, 1.0]]]), 0).tolist()
    [0.75, 1.0]
    """
    if len(graph) <= 2:
        direct: np.ndarray = graph[0, target] if len(graph) == 1 else np.minimum(graph[1, target][:, None], graph[0]).sum(0)
        return np.minimum(direct, 1.0)
    network, capacity = _network(*graph.shape[:2]), np.rint(graph * SCALE).astype(np.int32)
    inner, sink = np.concatenate([capacity[-1, target], capacity[-2:0:-1].ravel()]), len(network.starts) - 2
    flows = []
    for into in capacity[0].T:
        edges = csr_array((np.concatenate([inner, into]), network.ends, network.starts), shape=(sink + 1, sink + 1))
        flows.append(maximum_flow(edges, 0, sink, method="dinic").flow_value)
    return np.minimum(np.array(flows) / SCALE, 1.0)


class _Network(NamedTuple):
    """Edges in CSR form; the vertices are the source, L - 1 layers of nodes from the top down, and the sink."""

    starts: Int[np.ndarray, " nodes_and_end"]
    ends: Int[np.ndarray, " edges"]


@lru_cache(maxsize=64)
def _network(n_layers: int, n: int) -> _Network:
    """Edges that can lie on a path to one sink; the other positions of the sink's layer lead nowhere and are left out."""
    between, sink = np.arange(1, (n_layers - 1) * n + 1).reshape(-1, n), (n_layers - 1) * n + 1
    ends = np.concatenate([between[0], between[1:].repeat(n, 0).ravel(), np.full(n, sink)])
    degrees = np.concatenate([[0], np.full((n_layers - 2) * n + 1, n), np.ones(n, int), [0]])
    return _Network(degrees.cumsum().astype(np.int32), ends.astype(np.int32))
