"""What an explanation shows of one text: scores of words, nodes, heads and edges, as arrays and as the strongest few."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ..benchmark.store.explanation_file import ExplainedSentence
from ..core.errors import NotApplicable
from ..leaderboards.figures.pattern_strokes import word_totals
from ..methods.explanation import Explanation
from ..methods.views import head_scores, node_scores, word_mask
from ..models.circuits.circuit_graph import CircuitGraph

STRONGEST = 8
"""How many of the strongest nodes, heads or edges are listed."""


@dataclass(frozen=True)
class ShownWord:
    """One word as it is shown.

    Attributes:
        text: The blank-separated word of the text, or the special token.
        tokens: Positions of its tokens.
        segment: Which of the texts it is in, from 0; -1 for special tokens.
    """

    text: str
    tokens: tuple[int, ...]
    segment: int


@dataclass(frozen=True)
class Strongest:
    """One node, head or edge with its score.

    Attributes:
        name: What it is, in words.
        score: Its score.
    """

    name: str
    score: float


def words_of(sentence: ExplainedSentence, texts: Sequence[str]) -> tuple[ShownWord, ...]:
    """The words of a sentence in order; the tokens that a tokenizer makes of a blank-separated word are joined again.

    Args:
        sentence: Its tokens and the word of each.
        texts: The texts that were tokenised.
    """
    split, grouped = [text.split() for text in texts], dict[tuple[int, int], list[int]]()
    for position, (segment, word) in enumerate(sentence.words):
        key = (segment, word) if segment >= 0 else (-1, position)
        grouped.setdefault(key, []).append(position)
    return tuple(
        ShownWord(split[segment][word] if segment >= 0 else sentence.tokens[positions[0]], tuple(positions), segment)
        for (segment, word), positions in grouped.items()
    )


def word_scores(explanation: Explanation, words: Sequence[ShownWord], n_tokens: int) -> Float[np.ndarray, " words"] | None:
    """The score of each word: the sum over its tokens, of keep probabilities the largest; None where the method scores no words.

    Of several draws, the first is read.

    Args:
        explanation: The explanation of a text.
        words: Its words.
        n_tokens: The number of its tokens.
    """
    first = explanation.each()[0]
    try:
        tokens = word_totals(first, n_tokens)
    except NotApplicable:
        if first.mask is None:
            return None
        kept = word_mask(first)
        return np.array([kept[list(word.tokens)].max() for word in words])
    return np.array([tokens[list(word.tokens)].sum() for word in words])


def node_table(explanation: Explanation) -> Float[np.ndarray, "depths tokens"] | None:
    """The score of each hidden state, or of its strongest flow; None where the method gives neither."""
    first = explanation.each()[0]
    nodes = node_scores(first)
    if nodes is None and first.flows is not None:
        nodes = first.flows.max(0)
    return nodes


def head_table(explanation: Explanation) -> Float[np.ndarray, "layers heads"] | None:
    """The score of each attention head; None where the method does not tell heads apart."""
    with suppress(NotApplicable):
        return head_scores(explanation.each()[0])
    return None


def strongest_nodes(explanation: Explanation, tokens: Sequence[str], count: int = STRONGEST) -> list[Strongest]:
    """The nodes with the largest scores, whatever their sign; ties in order of depth."""
    nodes = node_table(explanation)
    if nodes is None:
        return []
    return [
        Strongest(f"{tokens[i]} after layer {depth}" if depth else f"{tokens[i]} at the input", float(nodes[depth, i]))
        for depth, i in _largest(nodes, count)
    ]


def strongest_heads(explanation: Explanation, count: int = STRONGEST) -> list[Strongest]:
    """The heads with the largest scores, whatever their sign; layers and heads count from 1."""
    heads = head_table(explanation)
    if heads is None:
        return []
    return [Strongest(f"layer {layer + 1} head {head + 1}", float(heads[layer, head])) for layer, head in _largest(heads, count)]


def strongest_edges(explanation: Explanation, tokens: Sequence[str], count: int = STRONGEST) -> list[Strongest]:
    """The edges with the largest scores, whatever their sign: from the word that is read to the word that reads it."""
    edges = explanation.each()[0].edges
    if edges is None:
        return []
    several = edges.shape[1] > 1
    return [
        Strongest(
            f"{tokens[p]} to {tokens[i]}, layer {layer + 1}{f' head {head + 1}' if several else ''}",
            float(edges[layer, head, i, p]),
        )
        for layer, head, i, p in _largest(edges, count)
    ]


def strongest_circuit_edges(explanation: Explanation, count: int = STRONGEST) -> list[Strongest]:
    """The edges of a circuit with the largest scores, whatever their sign: from what writes to what reads it."""
    circuit = explanation.each()[0].circuit
    if circuit is None:
        return []
    graph = CircuitGraph.of_shape((circuit.shape[0], circuit.shape[1]))
    writers, readers = graph.writers(), graph.readers()
    return [Strongest(f"{writers[w]} to {readers[r]}", float(circuit[w, r])) for w, r in _largest(circuit, count)]


def strongest_of(explanation: Explanation, tokens: Sequence[str], count: int = STRONGEST) -> dict[str, list[Strongest]]:
    """The strongest nodes, heads and edges, each where the explanation has them; for methods that score no words.

    Args:
        explanation: The explanation of a text.
        tokens: Its tokens.
        count: How many of each.
    """
    listed = {
        "nodes": strongest_nodes(explanation, tokens, count),
        "heads": strongest_heads(explanation, count),
        "edges": strongest_edges(explanation, tokens, count) or strongest_circuit_edges(explanation, count),
    }
    return {what: entries for what, entries in listed.items() if entries}


def _largest(scores: np.ndarray, count: int) -> list[tuple[int, ...]]:
    """Indices of the entries with the largest absolute values that are not 0, or of the first entries where all are."""
    size = np.abs(scores).ravel()
    order = np.argsort(-size, kind="stable")[:count]
    order = order[size[order] > 0] if size.any() else order
    return [tuple(int(x) for x in np.unravel_index(flat, scores.shape)) for flat in order]


def signed(value: float, largest: float) -> str:
    """A score with its sign and three digits of the largest one beside it.

    >>> signed(0.1234, 5.0), signed(-0.001234, 0.01), signed(0.0, 1.0)
    ('+0.12', '-0.0012', '0.00')
    """
    digits = min(8, max(0, 2 - math.floor(math.log10(largest)))) if largest > 0 else 2
    text = f"{value:+.{digits}f}"
    return text[1:] if float(text) == 0 else text
