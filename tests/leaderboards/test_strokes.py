"""What is drawn, as data."""

from __future__ import annotations

import numpy as np
import pytest

from flowgauge.core.errors import NotApplicable
from flowgauge.leaderboards.figures.drawn_graph import HEAD_RADIUS, Grid, head_places, line_width, segments
from flowgauge.leaderboards.figures.pattern_panel import make_panel
from flowgauge.leaderboards.figures.pattern_strokes import Stroke, frequencies, kept_words, strokes, word_patterns, word_totals
from flowgauge.methods.explanation import Explanation
from flowgauge.models.flow.graph import ALL_HEADS, NO_EDGE, SKIP, Patterns

from .conftest import G, patterned, sentence
from .conftest import word_patterns as hand_made


def test_words_under_the_share_are_left_out():
    assert kept_words(G).tolist() == [1, 3]
    assert kept_words(G, 0.0).tolist() == [0, 1, 3]
    assert kept_words(np.zeros(3)).tolist() == []
    assert kept_words(np.array([5.0, -95.0, 4.0]), 5 / 104).tolist() == [0, 1]


def test_the_edges_of_a_sentence():
    panel = make_panel("influence-patterns", sentence("a"), patterned())
    assert panel.strokes == (
        Stroke(0, 1, 1, SKIP, 1, 1.0),
        Stroke(0, 3, 2, 0, -1, 0.25),
        Stroke(1, 1, 2, 2, 1, 1.0),
        Stroke(1, 2, 2, SKIP, -1, 0.25),
    )
    assert {name: values.tolist() for name, values in panel.bars.items()} == {
        "g": [0.04, 2.0, 0.0, -0.5],
        "I(π), embedding level": [0.03, 1.5, 0.0, -0.4],
        "I(π), attention level": [0.02, 1.0, 0.0, -0.25],
    }
    assert panel.kept.tolist() == [1, 3] and panel.signed and panel.n_layers == 2
    assert panel.subtitle == "S, are rather than is, q = 1.25 logits, the model is right"
    assert panel.note == "width: |I(π)|; 2 words under 5% of Σ|g| left out"


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


def test_attention_takes_words_and_signs_from_the_reference():
    edges = np.zeros((2, 1, 4, 4))
    edges[:, 0] = np.eye(4) * 0.5
    edges[1, 0, 2] = [0.1, 0.4, 0.3, 0.2]
    panel = make_panel("attention", sentence("a"), Explanation(edges=edges), patterned())
    assert panel.strokes == (
        Stroke(0, 1, 1, NO_EDGE, 1, 2.0),
        Stroke(0, 3, 3, NO_EDGE, -1, 0.5),
        Stroke(1, 1, 2, NO_EDGE, 1, 2.0),
        Stroke(1, 3, 2, NO_EDGE, -1, 0.5),
    )
    assert list(panel.bars) == ["g"]
    assert panel.note == "width: |g| of the word; g by influence-patterns; 2 words under 5% of Σ|g| left out"


def test_flows_give_the_strongest_node_of_each_word():
    flows = np.zeros((4, 3, 4))
    flows[1, 1, 3], flows[3, 1, 0] = 1.0, 2.0
    found = word_patterns(Explanation(tokens=G, flows=flows), G * (np.abs(G) > 0.1), target=2)
    assert found.source.tolist() == [1, 3] and found.positions[..., 0].tolist() == [[1, 3, 2], [3, 0, 2]]
    assert found.influence.tolist() == [2.0, -0.5]


def test_nodes_give_the_same_path_to_every_word_and_draws_the_first_draw():
    first, second = (Explanation(nodes=np.roll(np.eye(4)[:3], shift, 1)) for shift in (0, 1))
    found = word_patterns(Explanation(draws=(first, second)), G, target=2)
    assert found.positions[..., 0].tolist() == [[0, 1, 2], [1, 1, 2], [3, 1, 2]]


def test_what_shows_no_path_is_not_applicable():
    with pytest.raises(NotApplicable, match="no path"):
        word_patterns(Explanation(tokens=G), G, 2)
    with pytest.raises(NotApplicable, match="nothing about single words"):
        word_totals(Explanation(nodes=np.ones((3, 4))), 4)


def test_frequencies_are_shares_of_sentences():
    one, two = hand_made(), hand_made().select(np.array([True, True, False]))
    found = {(s.layer, s.source, s.to, s.code, s.sign): s.weight for s in frequencies([one, one, two, two])}
    assert found[0, 1, 1, SKIP, 1] == 1.0 and found[0, 3, 2, 0, -1] == 0.5
    assert {s.weight for s in frequencies([one, one, two, two], least=0.6)} == {1.0}


def test_heads_stand_beside_skips_and_never_on_each_other():
    grid = Grid(n_layers=1, n_tokens=4)
    alone = head_places([Stroke(0, 0, 1, 5, 1, 1.0)], grid)
    assert alone[0, 1, 5][1] == grid.node(1, 1)[1]
    crowd = [Stroke(0, p, 1, head, 1, 1.0) for p in range(4) for head in range(6)] + [Stroke(0, 1, 1, SKIP, 1, 1.0)]
    places = list(head_places(crowd, grid).values())
    gaps = [np.hypot(a[0] - b[0], a[1] - b[1]) for i, a in enumerate(places) for b in places[:i]]
    assert len(places) == 6 and min(gaps) >= 2 * HEAD_RADIUS


def test_one_line_a_sign_leads_on_from_a_head():
    grid = Grid(n_layers=1, n_tokens=3)
    found = segments([Stroke(0, 0, 1, 2, 1, 1.0), Stroke(0, 1, 1, 2, 1, 0.5), Stroke(0, 2, 1, 2, -1, 0.25)], grid)
    assert [(s.name, s.weight, s.lane) for s in found] == [
        ("on-1-1-2-+1", 1.5, 1),
        ("edge-1-0-1-2-+1", 1.0, 0),
        ("edge-1-1-1-2-+1", 0.5, 0),
        ("edge-1-2-1-2--1", 0.25, 0),
        ("on-1-1-2--1", 0.25, -1),
    ]


def test_widths_rise_with_weight_and_stop_at_the_largest():
    assert [line_width(weight, 2.0) for weight in (0.0, 1.0, 2.0, 4.0)] == pytest.approx([1.8, 4.4, 7.0, 7.0])


def test_all_heads_is_a_node_of_its_own():
    assert list(head_places([Stroke(0, 0, 0, ALL_HEADS, 1, 1.0)], Grid(1, 1))) == [(0, 0, ALL_HEADS)]
