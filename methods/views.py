"""The one place that derives a coarser view of an explanation from a finer one.

patterns -> the nodes on them, ranked by the patterns' influence
flows    -> each word's strongest node in every layer; a node's score is the flow of its strongest word through it (for signed
            scores: of its strongest word with g > 0)
edges    -> the best path of each word by dynamic programming; a node's score is that of the best path through it; negative
            edges count as 0
         -> heads, each by its largest edge (Hao et al. 2021, section 5.1)
circuit  -> heads, each by the sum of its outgoing edges: for gradients, attribution patching of the head's output (Nanda 2023)
units    -> heads, each by its largest unit
nodes    -> the strongest node in every layer
mask     -> nodes, hidden[0] and words, by keep probability; a mask that acts on the words at every depth has no scores of hidden
            states, and scores words by its last depth, whose gates depend on the most states. Without a mask, words and hidden[0]
            are scored by the absolute values of tokens and nodes
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from ..core.errors import NotApplicable
from ..models.circuits.circuit_graph import CircuitGraph
from .explanation import Explanation

Select = Literal["signed", "absolute"]


class NodeRanking(NamedTuple):
    """How a method ranks the nodes of the embedding-level graph `G_e` for given source words."""

    own: Bool[np.ndarray, "depths tokens"]
    """The nodes that the method itself selects, with the sources at layer 0 and the target at layer L."""
    score: Float[np.ndarray, "depths tokens"]
    """Score of every node; nodes with larger scores are kept first."""


class Paths(NamedTuple):
    """The best path of every source word: its position at each depth, and the product of its edge weights."""

    positions: Int[np.ndarray, "tokens depths"]
    product: Float[np.ndarray, " tokens"]


def positive_words(explanation: Explanation) -> Int[np.ndarray, " words"]:
    """Source positions of Pi_+: the words with g > 0.

    Raises:
        NotApplicable: The explanation has neither patterns nor tokens.

    >>> positive_words(Explanation(tokens=np.array([0.5, -1.0, 0.0, 2.0]))).tolist()
    [0, 3]
    """
    if explanation.patterns is not None:
        return np.unique(explanation.patterns.source[explanation.patterns.total > 0])
    if explanation.tokens is not None:
        return np.flatnonzero(explanation.tokens > 0)
    raise NotApplicable(f"the method gives {', '.join(sorted(explanation.views))}, from which no word's sign can be read.")


def token_scores(explanation: Explanation) -> Float[np.ndarray, " tokens"]:
    """The scores of an explanation's input tokens.

    Raises:
        NotApplicable: The explanation has no token scores.

    >>> token_scores(Explanation(tokens=np.array([0.5, -1.0]))).tolist()
    [0.5, -1.0]
    """
    if explanation.tokens is None:
        raise NotApplicable(f"the method gives {', '.join(sorted(explanation.views))}, from which words cannot be scored.")
    return explanation.tokens


def level_scores(explanation: Explanation, level: Literal["words", "hidden"]) -> Float[np.ndarray, " tokens"] | None:
    """Absolute scores of the words, or of the positions of hidden[0], from the mask if there is one, else from tokens or nodes.

    Args:
        explanation: The explanation.
        level: `words` or `hidden`, which is hidden[0].

    Returns:
        One score for each token, or None where the explanation has none at this level.

    >>> level_scores(Explanation(tokens=np.array([0.5, -1.0])), "words").tolist()
    [0.5, 1.0]
    """
    if level == "words":
        scores = explanation.tokens if explanation.mask is None else word_mask(explanation)
    elif explanation.mask is not None and not masks_words(explanation):
        scores = explanation.mask[1]
    else:
        scores = None if explanation.nodes is None else explanation.nodes[0]
    return None if scores is None else np.abs(scores)


def describe_views(explanation: Explanation) -> str:
    """The views of an explanation, in words for a reason in a table.

    >>> describe_views(Explanation(tokens=np.ones(2), mask=np.ones((3, 2)), fill=np.zeros((1, 4))))
    'mask of words, tokens'
    """
    draw = explanation.each()[0]
    return ", ".join("mask of words" if view == "mask" and masks_words(draw) else view for view in sorted(draw.views))


def masks_words(explanation: Explanation) -> bool:
    """Whether the mask acts on the words at every depth, and not on that depth's own states."""
    return explanation.mask is not None and explanation.fill is not None and len(explanation.fill) == 1


def word_mask(explanation: Explanation) -> Float[np.ndarray, " tokens"]:
    """The keep probability of each word, by an explanation with a mask.

    >>> word_mask(Explanation(mask=np.array([[0.9, 0.2], [0.1, 0.8]]))).tolist()
    [0.9, 0.2]
    >>> word_mask(Explanation(mask=np.array([[0.9, 0.8], [0.9, 0.1]]), fill=np.zeros((1, 4)))).tolist()
    [0.9, 0.1]
    """
    assert explanation.mask is not None
    probability: np.ndarray = explanation.mask[-1 if masks_words(explanation) else 0]
    return probability


def best_paths(edges: Float[np.ndarray, "layers tokens tokens"], target: int) -> Paths:
    """The path from every word to the target with the largest product of edge weights.

    Args:
        edges: Edge weights [l, i, p]: of position p (key, earlier layer) for position i (query, later layer).
        target: Position where every path ends.

    Returns:
        The paths and their products; ties go to the lower position.

    >>> best_paths(np.array([[[0.6, 0.4], [0.1, 0.9]], [[0.7, 0.3], [0.0, 1.0]]]), 0).positions.tolist()
    [[0, 0, 0], [1, 0, 0]]
    """
    n_layers, n_tokens = edges.shape[:2]
    to_go = np.where(np.arange(n_tokens) == target, 1.0, 0.0)
    step = np.zeros((n_layers, n_tokens), int)
    for layer in reversed(range(n_layers)):
        onward = edges[layer] * to_go[:, None]  # [i, p]
        step[layer], to_go = onward.argmax(0), onward.max(0)
    positions = [np.arange(n_tokens)]
    for layer in range(n_layers):
        positions.append(step[layer][positions[-1]])
    positions[-1] = np.full(n_tokens, target)
    return Paths(np.stack(positions, 1), to_go)


def edge_flows(edges: Float[np.ndarray, "layers tokens tokens"], target: int) -> Float[np.ndarray, "tokens depths tokens"]:
    """The largest product of edge weights among the paths from word j through node (l, i) to the target, as [j, l, i].

    Args:
        edges: Edge weights [l, i, p], as for `best_paths`.
        target: Position where every path ends.

    Returns:
        The products; 0 where every path has a negative edge.

    >>> edge_flows(np.array([[[0.6, 0.4], [0.1, 0.9]]]), 0).tolist()
    [[[0.6, 0.0], [0.6, 0.0]], [[0.0, 0.4], [0.4, 0.0]]]
    """
    n_layers, n_tokens = edges.shape[:2]
    ahead = [np.where(np.arange(n_tokens) == target, 1.0, 0.0)]
    for layer in reversed(range(n_layers)):
        ahead.append((edges[layer] * ahead[-1][:, None]).max(0))
    reach, flows = np.eye(n_tokens), []
    for layer in range(n_layers + 1):
        flows.append(reach * ahead[n_layers - layer])
        if layer < n_layers:
            reach = (reach[:, None, :] * edges[layer]).max(-1)
    return np.stack(flows, 1)


def mean_edges(edges: Float[np.ndarray, "layers heads tokens tokens"]) -> Float[np.ndarray, "layers tokens tokens"]:
    """Edge weights averaged over heads; negative means count as 0, since two of them on a path would have a positive product.

    >>> mean_edges(np.array([[[[0.2]], [[0.4]]], [[[-0.2]], [[0.1]]]])).round(3).tolist()
    [[[0.3]], [[0.0]]]
    """
    return np.maximum(edges.mean(1), 0)


def node_flows(explanation: Explanation, target: int) -> Float[np.ndarray, "tokens depths tokens"] | None:
    """Node scores for each source word [j, l, i], from flows or edges; None where the explanation has neither."""
    if explanation.flows is not None:
        return explanation.flows
    if explanation.edges is not None:
        return edge_flows(mean_edges(explanation.edges), target)
    return None


def head_scores(explanation: Explanation) -> Float[np.ndarray, "layers heads"]:
    """Head scores: the explanation's own, else each head's largest edge (l, i, p), its largest unit (l, i), or from its circuit.

    Raises:
        NotApplicable: The explanation has neither heads nor a circuit, nor edges or units of single heads.

    >>> head_scores(Explanation(edges=np.array([[[[0.1, 0.9], [0.2, 0.3]], [[0.5, 0.4], [0.6, 0.0]]]]))).tolist()
    [[0.9, 0.6]]
    """
    scores: np.ndarray
    if explanation.heads is not None:
        return explanation.heads
    if explanation.edges is not None and explanation.edges.shape[1] > 1:
        scores = explanation.edges.max((2, 3))
    elif explanation.units is not None:
        scores = explanation.units[..., :-1].max(1)
    elif explanation.circuit is not None:
        scores = circuit_heads(explanation.circuit)
    elif explanation.edges is not None:
        raise NotApplicable("the method gives edges for all heads together, from which heads cannot be ranked.")
    else:
        raise NotApplicable(f"the method gives {', '.join(sorted(explanation.views))}, from which heads cannot be ranked.")
    return scores


def circuit_scores(explanation: Explanation, select: Select) -> Float[np.ndarray, "writers readers"]:
    """The scores of the edges of a circuit, as they are (`signed`) or their absolute values (`absolute`).

    Attention edges and flows between positions say nothing of which writer's output a reader takes, so that no circuit is derived
    from them.

    Raises:
        NotApplicable: The explanation has no circuit.

    >>> circuit = np.array([[1.0, 0, 0, 0, -2], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]])
    >>> circuit_scores(Explanation(circuit=circuit), "absolute")[0].tolist()
    [1.0, 0.0, 0.0, 0.0, 2.0]
    """
    if explanation.circuit is None:
        raise NotApplicable(f"the method gives {describe_views(explanation)}, from which no circuit of edges can be read.")
    return np.abs(explanation.circuit) if select == "absolute" else explanation.circuit


def circuit_heads(circuit: Float[np.ndarray, "writers readers"]) -> Float[np.ndarray, "layers heads"]:
    """Head scores from a circuit: the sum of each head's outgoing edges, signs included.

    To first order, this is the change of q when the head's output is exchanged as a whole: every reader of it counts once.

    >>> circuit_heads(np.array([[1.0, 1, 1, 1, 1], [0, 0, 0, 2, -3], [0, 0, 0, 0, 4]])).tolist()
    [[-1.0]]
    """
    graph = CircuitGraph.of_shape(circuit.shape)
    return np.stack([circuit[graph.head_writers(layer)].sum(1) for layer in range(graph.layers)])


def node_scores(explanation: Explanation) -> Float[np.ndarray, "depths tokens"] | None:
    """Node scores that are the same for every source word, from nodes or a mask; None where the explanation has neither."""
    if explanation.mask is not None and explanation.nodes is None and not masks_words(explanation):
        return explanation.mask[1:]
    return explanation.nodes


def rank_nodes(explanation: Explanation, sources: Int[np.ndarray, " words"], target: int) -> NodeRanking:
    """Ranks the nodes of every layer by what given source words send through them.

    Args:
        explanation: The explanation.
        sources: Positions of the source words.
        target: Position at which q is read.

    Returns:
        The nodes that the explanation itself selects, and the score of every node.

    Raises:
        NotApplicable: The explanation has no view from which nodes can be ranked.
    """
    flows, nodes, patterns = node_flows(explanation, target), node_scores(explanation), explanation.patterns
    if patterns is not None:
        chosen = patterns.select(np.isin(patterns.source, sources))
        shape = (chosen.positions.shape[1], _n_tokens(explanation))
        own = chosen.subgraph(shape[1]).nodes
        score = flows[sources].max(0, initial=-np.inf) if flows is not None else _pattern_scores(explanation, sources, shape)
    elif flows is not None:
        own = np.zeros(flows.shape[1:], bool)
        for depth in range(flows.shape[1]):
            own[depth, flows[sources, depth].argmax(-1)] = True
        score = flows[sources].max(0, initial=-np.inf)
    elif nodes is not None:
        own, score = nodes == nodes.max(1, keepdims=True), nodes
        own &= np.cumsum(own, 1) == 1  # of equal nodes, the first
    else:
        raise NotApplicable(f"the method gives {describe_views(explanation)}, from which nodes cannot be ranked.")
    own[0], own[-1] = False, False
    own[0, sources], own[-1, target] = True, True
    return NodeRanking(own, np.where(np.isfinite(score), score, -np.inf))


def score_nodes(explanation: Explanation, size: int, target: int, select: Select) -> Float[np.ndarray, "depths tokens"]:
    """Scores the nodes of every layer for all words together.

    An explanation with node scores gives these: as they are (`signed`) or their absolute values (`absolute`). Else a node scores
    what words send through it: the words with g > 0 (`signed`, where words have a sign), or all words, each in the direction of
    its g (`absolute`).

    Args:
        explanation: The explanation.
        size: Number of tokens.
        target: Position at which q is read.
        select: Whether signs count.

    Returns:
        One score for each node.

    Raises:
        NotApplicable: The explanation has no view from which nodes can be scored.
    """
    nodes = node_scores(explanation)
    if nodes is not None:
        return np.abs(nodes) if select == "absolute" else nodes
    signed = select == "signed" and (explanation.tokens is not None or explanation.patterns is not None)
    return rank_nodes(explanation, positive_words(explanation) if signed else np.arange(size), target).score


def _n_tokens(explanation: Explanation) -> int:
    if explanation.tokens is not None:
        return len(explanation.tokens)
    if explanation.edges is not None:
        return explanation.edges.shape[-1]
    patterns = explanation.patterns
    raise NotApplicable(
        f"the method gives {0 if patterns is None else len(patterns)} patterns alone, which do not say how many tokens the "
        "instance has: let it give tokens too."
    )


def _pattern_scores(explanation: Explanation, sources: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Scores each node by the largest |influence| among the sources' patterns through it; nodes on no pattern score 0."""
    patterns, score = explanation.patterns, np.zeros(shape)
    assert patterns is not None
    for positions, source, influence in zip(patterns.positions, patterns.source, patterns.influence, strict=True):
        if source in sources:
            for depth, used in enumerate(positions):
                nodes = used[used >= 0]
                score[depth, nodes] = np.maximum(score[depth, nodes], abs(influence))
    return score
