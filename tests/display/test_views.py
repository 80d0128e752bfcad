"""What an explanation shows: words joined from tokens, and the strongest few of the other views."""

from __future__ import annotations

import numpy as np

from flowgauge.display.views import (
    Strongest,
    head_table,
    node_table,
    signed,
    strongest_edges,
    strongest_heads,
    strongest_nodes,
    strongest_of,
    word_scores,
    words_of,
)
from flowgauge.methods.explanation import Explanation
from flowgauge.models.flow.graph import Patterns

from .conftest import EDGES, HEADS, NODES, SENTENCE, TOKENS

WORDS = words_of(SENTENCE, ("unhappy [MASK] .",))


def test_tokens_of_one_word_are_joined_and_special_tokens_stay_alone():
    assert [word.text for word in WORDS] == ["[CLS]", "unhappy", "[MASK]", ".", "[SEP]"]
    assert [word.tokens for word in WORDS] == [(0,), (1, 2), (3,), (4,), (5,)]
    assert [word.segment for word in WORDS] == [-1, 0, 0, 0, -1]


def test_a_word_scores_the_sum_of_its_tokens():
    assert word_scores(TOKENS, WORDS, 6).tolist() == [0.0, 3.0, -1.5, 0.25, 0.0]


def test_a_mask_scores_words_by_the_largest_keep_probability_and_patterns_by_their_totals():
    mask = Explanation(mask=np.array([[0.1, 0.2, 0.9, 0.5, 0.0, 0.0]] * 3))
    assert word_scores(mask, WORDS, 6).tolist() == [0.1, 0.9, 0.5, 0.0, 0.0]
    paths = Patterns(np.array([1, 2]), np.array([0.5, 0.25]), np.array([0.5, 0.25]), np.array([[[1], [3]], [[2], [3]]]))
    assert word_scores(Explanation(patterns=paths), WORDS, 6).tolist() == [0.0, 0.75, 0.0, 0.0, 0.0]


def test_what_scores_no_words_says_so():
    assert all(word_scores(explanation, WORDS, 6) is None for explanation in (HEADS, NODES, EDGES))


def test_the_first_draw_is_read():
    drawn = Explanation(draws=(TOKENS, Explanation(tokens=np.ones(6))))
    assert word_scores(drawn, WORDS, 6).tolist() == word_scores(TOKENS, WORDS, 6).tolist()


def test_nodes_come_from_nodes_or_flows_and_heads_from_edges_too():
    flows = np.zeros((6, 2, 6))
    flows[1, 0, 1], flows[2, 1, 3] = 0.4, 0.8
    assert node_table(Explanation(flows=flows))[1, 3] == 0.8
    assert node_table(TOKENS) is None and head_table(TOKENS) is None
    assert head_table(EDGES).tolist() == [[0.0, 0.9]]


def test_the_strongest_are_named_and_zeros_left_out():
    assert strongest_heads(HEADS) == [Strongest("layer 1 head 2", -2.0), Strongest("layer 1 head 1", 0.5)]
    assert strongest_nodes(NODES, SENTENCE.tokens, 2) == [
        Strongest("[MASK] after layer 1", 0.7), Strongest("[SEP] at the input", -0.3)
    ]  # fmt: skip
    assert strongest_edges(EDGES, SENTENCE.tokens) == [
        Strongest("##happy to [MASK], layer 1 head 2", 0.9), Strongest("un to [MASK], layer 1 head 1", -0.4)
    ]  # fmt: skip
    alone = Explanation(edges=EDGES.edges[:, 1:])
    assert strongest_edges(alone, SENTENCE.tokens)[0].name == "##happy to [MASK], layer 1"


def test_every_view_without_words_is_listed_even_if_all_is_zero():
    assert {what: len(entries) for what, entries in strongest_of(EDGES, SENTENCE.tokens).items()} == {"heads": 1, "edges": 2}
    assert [entry.score for entry in strongest_heads(Explanation(heads=np.zeros((1, 2))))] == [0.0, 0.0]
    assert list(strongest_of(NODES, SENTENCE.tokens)) == ["nodes"]


def test_scores_have_a_sign_and_three_digits_of_the_largest():
    assert [signed(x, 123.4) for x in (123.4, -0.4, 0.4)] == ["+123", "0", "0"]
    assert signed(-2.5e-5, 2.5e-5) == "-0.0000250" and signed(0.0, 0.0) == "0.00"


def test_edges_of_a_circuit_are_named_by_writer_and_reader() -> None:
    circuit = np.zeros((4, 8))
    circuit[0, 2], circuit[1, 7] = 0.5, -2.0
    assert strongest_of(Explanation(circuit=circuit), ())["edges"] == [
        Strongest("layer 1 head 1 to logits", -2.0), Strongest("embedding to layer 1 head 1 key", 0.5)
    ]  # fmt: skip
