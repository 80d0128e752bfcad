"""Patterns as strokes: which words, which path under each view, and how often an edge is used."""

from __future__ import annotations

import numpy as np
import pytest
from tests.leaderboards.conftest import G
from tests.leaderboards.conftest import word_patterns as hand_made

from flowgauge.core.errors import NotApplicable
from flowgauge.leaderboards.figures.pattern_strokes import Stroke, frequencies, kept_words, strokes, word_patterns, word_totals
from flowgauge.methods.explanation import Explanation
from flowgauge.models.flow.graph import NO_EDGE, SKIP, Patterns


def test_words_under_the_share_are_left_out():
    assert kept_words(G).tolist() == [1, 3]
    assert kept_words(G, 0.0).tolist() == [0, 1, 3]
    assert kept_words(np.zeros(3)).tolist() == []
    assert kept_words(np.array([5.0, -95.0, 4.0]), 5 / 104).tolist() == [0, 1]


def test_patterns_of_equal_place_and_sign_are_one_line():
    patterns = hand_made()
    both = Patterns(
        source=np.array([1, 1, 1]),
        total=np.ones(3),
        influence=np.array([1.0, 0.5, -0.25]),
        positions=patterns.positions[[1, 1, 1]],
        heads=patterns.heads[[1, 1, 1]],
    )
    assert strokes(both) == [
        Stroke(0, 1, 1, SKIP, -1, 0.25),
        Stroke(0, 1, 1, SKIP, 1, 1.5),
        Stroke(1, 1, 2, 2, -1, 0.25),
        Stroke(1, 1, 2, 2, 1, 1.5),
    ]


def test_a_bundle_has_every_edge_between_its_nodes():
    bundle = Patterns(np.array([0]), np.ones(1), np.ones(1), np.array([[[0, -1], [1, 2], [2, -1]]]))
    assert [(s.layer, s.source, s.to, s.code) for s in strokes(bundle)] == [
        (0, 0, 1, NO_EDGE),
        (0, 0, 2, NO_EDGE),
        (1, 1, 2, NO_EDGE),
        (1, 2, 2, NO_EDGE),
    ]


def test_flows_give_the_strongest_node_of_each_word():
    flows = np.zeros((4, 3, 4))
    flows[1, 1, 3], flows[3, 1, 0] = 1.0, 2.0
    patterns = word_patterns(Explanation(tokens=G, flows=flows), G * (np.abs(G) > 0.1), target=2)
    assert patterns.source.tolist() == [1, 3] and patterns.positions[..., 0].tolist() == [[1, 3, 2], [3, 0, 2]]
    assert patterns.influence.tolist() == [2.0, -0.5]


def test_nodes_give_the_same_path_to_every_word_and_draws_the_first_draw():
    first, second = (Explanation(nodes=np.roll(np.eye(4)[:3], shift, 1)) for shift in (0, 1))
    patterns = word_patterns(Explanation(draws=(first, second)), G, target=2)
    assert patterns.positions[..., 0].tolist() == [[0, 1, 2], [1, 1, 2], [3, 1, 2]]


def test_what_shows_no_path_is_not_applicable():
    with pytest.raises(NotApplicable, match="no path"):
        word_patterns(Explanation(tokens=G), G, 2)
    with pytest.raises(NotApplicable, match="do not score single words"):
        word_totals(Explanation(nodes=np.ones((3, 4))), 4)


def test_frequencies_are_shares_of_sentences():
    whole, without_last = hand_made(), hand_made().select(np.array([True, True, False]))
    shares = {
        (s.layer, s.source, s.to, s.code, s.sign): s.weight for s in frequencies([whole, whole, without_last, without_last])
    }
    assert shares[0, 1, 1, SKIP, 1] == 1.0 and shares[0, 3, 2, 0, -1] == 0.5
    assert {s.weight for s in frequencies([whole, whole, without_last, without_last], least=0.6)} == {1.0}
