"""The one place that reads a coarser view from a finer one. NumPy only.

patterns -> nodes that they use, in the order of their influence
flows    -> each word's strongest node a layer; a node scores what its strongest word sends through it (where signs are asked
            for: its strongest word with g > 0)
edges    -> best path of each word by dynamic programming; a node scores the best path through it; negative edges carry nothing
         -> heads, each by its largest edge (Hao et al. 2021, section 5.1)
units    -> heads, each by its largest unit
nodes    -> the strongest node a layer
mask     -> nodes, by keep probability, and hidden[0] and words; a mask that acts on the words at every depth says nothing of
            hidden states, and of words by its last depth, which has seen most. Without a mask: by the sizes of nodes and tokens
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from ..core.errors import NotApplicable
from .explanation import Explanation

Select = Literal["signed", "absolute"]


class NodeRanking(NamedTuple):
    """How a method ranks the nodes of `G_e` for given source words."""

    own: Bool[np.ndarray, "depths tokens"]
    """The nodes it would keep by itself: the sources at layer 0 and the target at layer L included."""
    score: Float[np.ndarray, "depths tokens"]
    """Larger is kept earlier."""


class Paths(NamedTuple):
    """The best path of every source word."""

    positions: Int[np.ndarray, "tokens depths"]
    product: Float[np.ndarray, " tokens"]


def positive_words(explanation: Explanation) -> Int[np.ndarray, " words"]:
    """Source positions of Pi_+: the words with g > 0."""
    if explanation.patterns is not None:
        return np.unique(explanation.patterns.source[explanation.patterns.total > 0])
    if explanation.tokens is not None:
        return np.flatnonzero(explanation.tokens > 0)
    raise NotApplicable(f"the method gives {', '.join(sorted(explanation.views))}, from which no word's sign can be read.")


def token_scores(explanation: Explanation) -> Float[np.ndarray, " tokens"]:
    """Its token scores.

    Raises:
        NotApplicable: It has none, and none can be read from what it has.
    """
    if explanation.tokens is None:
        raise NotApplicable(f"the method gives {', '.join(sorted(explanation.views))}, from which words cannot be scored.")
    return explanation.tokens


def level_scores(explanation: Explanation, level: Literal["words", "hidden"]) -> Float[np.ndarray, " tokens"] | None:
    """Size of the score of each word, or of each position of hidden[0]: its mask, else nodes and tokens; None if it has none."""
    if level == "words":
        found = explanation.tokens if explanation.mask is None else word_mask(explanation)
    elif explanation.mask is not None and not masks_words(explanation):
        found = explanation.mask[1]
    else:
        found = None if explanation.nodes is None else explanation.nodes[0]
    return None if found is None else np.abs(found)


def describe_views(explanation: Explanation) -> str:
    """The views it has, in words.

    >>> describe_views(Explanation(tokens=np.ones(2), mask=np.ones((3, 2)), fill=np.zeros((1, 4))))
    'mask of words, tokens'
    """
    one = explanation.each()[0]
    return ", ".join("mask of words" if view == "mask" and masks_words(one) else view for view in sorted(one.views))


def masks_words(explanation: Explanation) -> bool:
    """Whether its mask acts on the words at every depth, and not on that depth's own states."""
    return explanation.mask is not None and explanation.fill is not None and len(explanation.fill) == 1


def word_mask(explanation: Explanation) -> Float[np.ndarray, " tokens"]:
    """The keep probability of each word, of an explanation with a mask.

    >>> word_mask(Explanation(mask=np.array([[0.9, 0.2], [0.1, 0.8]]))).tolist()
    [0.9, 0.2]
    >>> word_mask(Explanation(mask=np.array([[0.9, 0.8], [0.9, 0.1]]), fill=np.zeros((1, 4)))).tolist()
    [0.9, 0.1]
    """
    assert explanation.mask is not None
    found: np.ndarray = explanation.mask[-1 if masks_words(explanation) else 0]
    return found


def best_paths(edges: Float[np.ndarray, "layers tokens tokens"], target: int) -> Paths:
    """For every word, the path to the target with the largest product of edge weights (row = query = later layer).

    Low positions win ties.
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
    """[j, l, i]: the largest product among paths from word j through node (l, i) to the target, 0 if all have a negative edge."""
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
    """Edge weights averaged over heads; what is negative counts as 0, since a product along a path would lose its sign."""
    return np.maximum(edges.mean(1), 0)


def node_flows(explanation: Explanation, target: int) -> Float[np.ndarray, "tokens depths tokens"] | None:
    """Node scores as seen from each source word, where the explanation has or implies them."""
    if explanation.flows is not None:
        return explanation.flows
    if explanation.edges is not None:
        return edge_flows(mean_edges(explanation.edges), target)
    return None


def head_scores(explanation: Explanation) -> Float[np.ndarray, "layers heads"]:
    """Head scores: the explanation's own, else the largest edge (l, i, p) of each head, else its largest unit (l, i).

    Raises:
        NotApplicable: It has neither heads nor edges or units of single heads.
    """
    found: np.ndarray
    if explanation.heads is not None:
        return explanation.heads
    if explanation.edges is not None and explanation.edges.shape[1] > 1:
        found = explanation.edges.max((2, 3))
    elif explanation.units is not None:
        found = explanation.units[..., :-1].max(1)
    elif explanation.edges is not None:
        raise NotApplicable("the method gives edges for all heads together, from which heads cannot be ranked.")
    else:
        raise NotApplicable(f"the method gives {', '.join(sorted(explanation.views))}, from which heads cannot be ranked.")
    return found


def node_scores(explanation: Explanation) -> Float[np.ndarray, "depths tokens"] | None:
    """Node scores that are the same for every word, where the explanation has them."""
    if explanation.mask is not None and explanation.nodes is None and not masks_words(explanation):
        return explanation.mask[1:]
    return explanation.nodes


def rank_nodes(explanation: Explanation, sources: Int[np.ndarray, " words"], target: int) -> NodeRanking:
    """How the explanation ranks the nodes of every layer, given the words whose flow is asked for.

    Raises:
        NotApplicable: It has no view from which nodes can be ranked.
    """
    flows, nodes, patterns = node_flows(explanation, target), node_scores(explanation), explanation.patterns
    if patterns is not None:
        chosen = patterns.select(np.isin(patterns.source, sources))
        shape = (chosen.positions.shape[1], _tokens(explanation))
        own = chosen.subgraph(shape[1]).nodes
        score = flows[sources].max(0, initial=-np.inf) if flows is not None else _pattern_scores(explanation, sources, shape)
    elif flows is not None:
        own = np.zeros(flows.shape[1:], bool)
        for depth in range(flows.shape[1]):
            own[depth, flows[sources, depth].argmax(-1)] = True
        score = flows[sources].max(0, initial=-np.inf)
    elif nodes is not None:
        own, score = nodes == nodes.max(1, keepdims=True), nodes
        own &= np.cumsum(own, 1) == 1
    else:
        raise NotApplicable(f"the method gives {describe_views(explanation)}, from which nodes cannot be ranked.")
    own[0], own[-1] = False, False
    own[0, sources], own[-1, target] = True, True
    return NodeRanking(own, np.where(np.isfinite(score), score, -np.inf))


def score_nodes(explanation: Explanation, size: int, target: int, select: Select) -> Float[np.ndarray, "depths tokens"]:
    """How the explanation scores the nodes of every layer, no words given.

    Its node scores if it has them: as they are (`signed`) or their size (`absolute`). Else what the words send through a node:
    those with g > 0 (`signed`, where words have a sign), or all of them, each in the direction of its g (`absolute`).

    Raises:
        NotApplicable: It has no view from which nodes can be scored.
    """
    nodes = node_scores(explanation)
    if nodes is not None:
        return np.abs(nodes) if select == "absolute" else nodes
    signed = select == "signed" and (explanation.tokens is not None or explanation.patterns is not None)
    return rank_nodes(explanation, positive_words(explanation) if signed else np.arange(size), target).score


def _tokens(explanation: Explanation) -> int:
    if explanation.tokens is not None:
        return len(explanation.tokens)
    if explanation.edges is not None:
        return explanation.edges.shape[-1]
    patterns = explanation.patterns
    raise NotApplicable(
        f"{0 if patterns is None else len(patterns)} patterns alone do not say how many tokens there are: give tokens too."
    )


def _pattern_scores(explanation: Explanation, sources: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """A node scores the largest |influence| among the sources' patterns through it; unused nodes score 0."""
    patterns, score = explanation.patterns, np.zeros(shape)
    assert patterns is not None
    for positions, source, influence in zip(patterns.positions, patterns.source, patterns.influence, strict=True):
        if source in sources:
            for depth, used in enumerate(positions):
                at = used[used >= 0]
                score[depth, at] = np.maximum(score[depth, at], abs(influence))
    return score
