"""Attribution graphs and trees (Hao et al. 2021): how information reaches the target, by edge scores."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from ...core.errors import NotApplicable

TAU = 0.4
"""Edges with at most this share of the largest score of their layer are left out."""
Scores = Float[np.ndarray, "layers tokens tokens"]


class Node(NamedTuple):
    """The hidden state hidden[depth][token]."""

    token: int
    depth: int


class Edge(NamedTuple):
    """An edge along which hidden[layer + 1][query] gathers from hidden[layer][key].

    `share` is the score divided by the largest score of the layer.
    """

    layer: int
    query: int
    key: int
    score: float
    share: float


class Residual(NamedTuple):
    """A link between two nodes of one token at different depths, with no node of the token between them."""

    token: int
    upper: int
    lower: int


@dataclass(frozen=True)
class AttributionGraph:
    """The strongest edges along which the root, hidden[L][root], gathers.

    Attributes:
        root: Position of the token at the top.
        n_layers: Number of layers L.
        edges: The edges in the order of their choice, from the last layer down.
    """

    root: int
    n_layers: int
    edges: tuple[Edge, ...]

    @property
    def nodes(self) -> tuple[Node, ...]:
        """The root and both ends of every edge, in the order of token and depth."""
        ends = {end for e in self.edges for end in (Node(e.query, e.layer + 1), Node(e.key, e.layer))}
        return tuple(sorted(ends | {Node(self.root, self.n_layers)}))

    @property
    def residuals(self) -> tuple[Residual, ...]:
        """Links between consecutive nodes of the same token."""
        nodes = self.nodes
        return tuple(Residual(a.token, b.depth, a.depth) for a, b in pairwise(nodes) if a.token == b.token)

    @property
    def leaves(self) -> frozenset[Node]:
        """The nodes from which no edge or residual leads further down."""
        gathering = {Node(e.query, e.layer + 1) for e in self.edges} | {Node(r.token, r.upper) for r in self.residuals}
        return frozenset(self.nodes) - gathering


def layer_scores(edges: Float[np.ndarray, "layers heads tokens tokens"]) -> Scores:
    """Edge scores summed over heads, from which graphs and trees are built: a[l, i, p] = sum_h Attr_lh[i, p].

    >>> layer_scores(np.array([[[[0.25]], [[0.5]]]])).tolist()
    [[[0.75]]]
    """
    return edges.sum(1)


def attribution_graph(
    scores: Scores, root: int = 0, *, tau: float = TAU, separators: Collection[int] = (), connected_only: bool = False
) -> AttributionGraph:
    """The strongest edges of each layer, each pair of tokens once, from the root down.

    From the last layer to the first, edges (i, p) with scores[l, i, p] > tau * max(scores[l]) are taken in order of their
    score, unless (i, p) or (p, i) was taken in this layer or one above; in the last layer tau is 0. An edge (i, i) is never
    taken: `residuals` link the nodes of a token. Then separators that are leaves are dropped, with the edges into them.
    Equal scores go by position. Source: Hao et al. 2021, arXiv 2004.11207v1, Algorithm 1.

    Args:
        scores: Signed scores [l, i, p]; see `layer_scores`.
        root: The token at the top: the position at which the output is read.
        tau: Share of the layer's largest score, in [0, 1).
        separators: Positions of [SEP], or of other special tokens that end a text; decoders have none.
        connected_only: Whether an edge is taken only if its query is reached from the root; the printed algorithm has no such
            condition.

    Returns:
        The graph, its edges in the order of their choice.

    Raises:
        ValueError: tau or the root is out of range.

    >>> scores = np.array([[[0.0, 0.0], [0.0, 0.3]], [[0.0, 0.2], [0.0, 0.0]]])
    >>> attribution_graph(scores).edges
    (Edge(layer=1, query=0, key=1, score=0.2, share=1.0),)
    """
    _check(scores, root, tau)
    edges, taken, reached = list[Edge](), set[frozenset[int]](), {root}
    for layer in reversed(range(len(scores))):
        keys = list[int]()
        for edge in _retained(scores[layer], layer, 0.0 if layer == len(scores) - 1 else tau):
            pair = frozenset(edge[1:3])
            if len(pair) == 2 and pair not in taken and (edge.query in reached or not connected_only):
                edges.append(edge)
                taken.add(pair)
                keys.append(edge.key)
        reached.update(keys)  # hidden[layer] gathers from the next layer on
    return _without_leaves(AttributionGraph(root, len(scores), tuple(edges)), separators)


@dataclass(frozen=True)
class AttributionTree:
    """A tree of tokens.

    Attributes:
        root: The token with the largest sum of scores.
        n_layers: Number of layers L.
        edges: The edges in the order of their choice; every token but the root is the key of at most one.
    """

    root: int
    n_layers: int
    edges: tuple[Edge, ...]

    @property
    def depths(self) -> dict[int, int]:
        """Depth of each token of the tree: L - 1 for the root, the layer of its edge for a key."""
        return {self.root: self.n_layers - 1} | {edge.key: edge.layer for edge in self.edges}


def attribution_tree(scores: Scores, target: int = 0, *, tau: float = TAU) -> AttributionTree:
    """The tree of tokens in the authors' figures, where each token stands under the first that gathers from it.

    The root is the token, not the target, with the largest sum of positive scores over all layers and other keys. Its children
    are the keys of its edges in the last layer but one with a score above tau times that layer's largest. Then, layer by layer
    downwards, queries in the order of the sentence and for each its keys in the order of the sentence, an edge above tau is
    added where the query is in the tree and the key is not: a key that has just been added can be a query in the same layer,
    if it stands further right. The target's row does not count for a layer's largest score, the target is never a query, and the
    last layer is not used. Source: the released code of Hao et al. 2021, the algorithm of the published (AAAI) version.

    Args:
        scores: Signed scores [l, i, p]; see `layer_scores`.
        target: The position at which the output is read: [CLS], or the last token of a decoder.
        tau: Share of the layer's largest score, in [0, 1).

    Returns:
        The tree, its edges in the order of their choice.

    Raises:
        ValueError: tau or the target is out of range.
        NotApplicable: There are fewer than two layers, or no token besides the target.

    >>> scores = np.array([[[0.0, 0, 0], [0, 0, 0], [0, 0, 0]], [[0, 0, 0], [0, 0, 0.2], [0, 0.1, 0]], [[0, 0, 0]] * 3])
    >>> [(edge.layer, edge.query, edge.key) for edge in attribution_tree(scores).edges]
    [(1, 1, 2)]
    """
    _check(scores, target, tau)
    if len(scores) < 2 or scores.shape[1] < 2:
        raise NotApplicable("an attribution tree needs two layers and a token besides the target.")
    others = np.delete(np.arange(scores.shape[1]), target)
    total = np.maximum(scores.sum(0), 0)
    np.fill_diagonal(total, 0)
    root = int(others[total[others].sum(1).argmax()])
    last, seen, edges = len(scores) - 2, {root}, list[Edge]()
    for layer in range(last, -1, -1):
        largest = scores[layer, others].max()
        strong = (scores[layer] > tau * largest) & (largest > 0)
        for query in [root] if layer == last else others.tolist():
            for key in np.flatnonzero(strong[query]).tolist() if query in seen else ():
                if key not in seen:
                    score = float(scores[layer, query, key])
                    edges.append(Edge(layer, query, key, score, score / float(largest)))
                    seen.add(key)
    return AttributionTree(root, len(scores), tuple(edges))


def _retained(scores: Float[np.ndarray, "tokens tokens"], layer: int, tau: float) -> Iterator[Edge]:
    """The layer's edges above tau, strongest first; none where no score is positive."""
    largest = scores.max()
    for flat in np.argsort(-scores, axis=None, kind="stable"):
        query, key = divmod(int(flat), scores.shape[1])
        if largest <= 0 or scores[query, key] <= tau * largest:
            return
        yield Edge(layer, query, key, float(scores[query, key]), float(scores[query, key] / largest))


def _without_leaves(graph: AttributionGraph, tokens: Collection[int]) -> AttributionGraph:
    """The graph without leaves of the given tokens, dropped again and again until none is left."""
    while dropped := {leaf for leaf in graph.leaves if leaf.token in tokens and leaf.token != graph.root}:
        kept = tuple(e for e in graph.edges if Node(e.key, e.layer) not in dropped)
        graph = AttributionGraph(graph.root, graph.n_layers, kept)
    return graph


def _check(scores: Scores, position: int, tau: float) -> None:
    if not 0 <= tau < 1:
        raise ValueError(f"tau must lie in [0, 1), got {tau}.")
    if not 0 <= position < scores.shape[1]:
        raise ValueError(f"there is no position {position} of {scores.shape[1]} tokens; positions count from 0.")
