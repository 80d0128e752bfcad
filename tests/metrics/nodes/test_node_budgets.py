"""The budget rule, worked by hand on 3 layers, 5 tokens and 2 heads; the target is position 4."""

from __future__ import annotations

import math

import numpy as np
import pytest

from flowgauge.core.errors import NotApplicable
from flowgauge.methods.explanation import Explanation
from flowgauge.metrics.nodes.node_budgets import (
    ReferenceBudget,
    every_later_node,
    kept_nodes,
    kept_units,
    reference_budget,
    top,
    with_target,
)
from flowgauge.models.flow.graph import ALL_HEADS, SKIP, Patterns

T = 4


@pytest.fixture
def reference(make) -> Explanation:
    """Words 0 and 1 positive, 2 negative: Pi_+ has hidden[1] = {0, 3}, hidden[2] = {3}; units 2, 2 and 1 at layers 0, 1, 2."""
    patterns = make.paths(
        total=[2.0, 1.0, -1.0],
        positions=[[0, 0, 3, T], [1, 3, 3, T], [2, 2, 2, T]],
        influence=[0.9, 0.5, -0.4],
        heads=[[SKIP, 1, 0], [0, SKIP, 0], [SKIP, SKIP, 1]],
        head_influence=[0.8, 0.3, -0.2],
    )
    return make.explained(5, patterns)


@pytest.fixture
def by(reference) -> ReferenceBudget:
    return reference_budget(reference, 5, 2, T)


def at(mask: np.ndarray) -> list[list[int]]:
    return [np.flatnonzero(row).tolist() for row in mask]


def units(subgraph) -> list[list[tuple[int, int]]]:
    """(position, head or -1) kept at each layer."""
    both = np.concatenate([subgraph.heads, subgraph.skips[..., None]], -1)
    return [[(int(i), -1 if u == 2 else int(u)) for i, u in np.argwhere(layer)] for layer in both]


def test_the_yardstick_is_pi_plus(by):
    assert by.words.tolist() == [0, 1] and by.all_words.tolist() == [0, 1, 2]
    assert at(by.kept.nodes) == [[0, 1], [0, 3], [3], [T]]
    assert by.node_counts.tolist() == [2, 2, 1, 1]
    assert by.unit_counts.tolist() == [2, 2, 1]


def test_the_reference_matches_itself_at_both_levels(reference, by):
    for budget in ("own", "matched"):
        assert at(kept_nodes(reference, by, budget, by.words).nodes) == at(by.kept.nodes)
        found = kept_units(reference, by, budget)
        assert units(found) == [[(0, -1), (3, 0)], [(3, -1), (3, 1)], [(T, 0)]] or units(found) == units(by.kept)
        assert units(found) == units(by.kept)


def test_all_words_have_the_same_budget_but_their_own_sources(reference, by):
    assert at(kept_nodes(reference, by, "own", by.all_words).nodes) == [[0, 1, 2], [0, 2, 3], [2, 3], [T]]
    assert at(kept_nodes(reference, by, "matched", by.all_words).nodes) == [[0, 1, 2], [0, 3], [3], [T]]


def test_fewer_own_nodes_are_filled_by_score_and_more_are_cut(by):
    nodes = np.zeros((4, 5))
    nodes[1] = [0.1, 0.9, 0.5, 0.5, 0.2]  # own: 1; then 2 before 3
    nodes[2] = [0.3, 0.3, 0.2, 0.1, 0.0]  # own: the first of equals
    found = Explanation(nodes=nodes)
    assert at(kept_nodes(found, by, "own", by.words).nodes) == [[0, 1], [1], [0], [T]]
    assert at(kept_nodes(found, by, "matched", by.words).nodes) == [[0, 1], [1, 2], [0], [T]]
    flows = np.zeros((5, 4, 5))
    flows[0, 1] = [0.0, 0.0, 0.0, 0.0, 0.7]
    flows[1, 1] = [0.0, 0.0, 0.4, 0.0, 0.6]
    flows[0, 2] = [0.0, 0.3, 0.0, 0.0, 0.0]  # two words with their own nodes, one may stay: the stronger
    flows[1, 2] = [0.0, 0.0, 0.0, 0.5, 0.0]
    flows[2, 1:3] = 9.0  # no word of Pi_+
    found = Explanation(flows=flows)
    assert at(kept_nodes(found, by, "own", by.words).nodes) == [[0, 1], [4], [1, 3], [T]]
    assert at(kept_nodes(found, by, "matched", by.words).nodes) == [[0, 1], [2, 4], [3], [T]]


def test_own_nodes_come_before_better_scores():
    own, score = np.array([True, False, False]), np.array([0.1, 0.9, 0.9])
    assert top(own, score, 1).tolist() == [True, False, False]
    assert top(own, score, 2).tolist() == [True, True, False]
    assert top(own, score, 9).tolist() == [True, True, True]
    assert top(own, score, 0).tolist() == [False] * 3


def test_random_units_are_drawn_at_the_kept_positions(by):
    nodes = np.zeros((4, 5))
    nodes[1, [2, 4]], nodes[2, 1] = [0.9, 0.8], 0.9
    scores = np.full((3, 5, 3), 0.5)
    scores[0, 2], scores[0, 4], scores[0, 0] = [0.1, 0.2, 0.9], [0.3, 0.8, 0.0], 1.0  # position 0 is not kept
    scores[1, 1], scores[2, T] = [0.1, 0.6, 0.3], [0.2, 0.1, 0.4]
    found = kept_units(Explanation(nodes=nodes, units=scores), by, "matched")
    assert at(found.nodes) == [[0, 1], [2, 4], [1], [T]]
    assert units(found) == [[(2, -1), (4, 1)], [(1, 1), (1, -1)], [(T, -1)]]
    assert units(kept_units(Explanation(nodes=nodes, units=scores), by, "own")) == [[(2, -1)], [(1, 1)], [(T, -1)]]


def test_all_heads_in_place_of_a_skip(reference, by, make):
    patterns = reference.patterns
    replaced = Patterns(
        patterns.source, patterns.total, patterns.influence, patterns.positions,
        heads=np.where(patterns.heads == SKIP, ALL_HEADS, patterns.heads),
    )  # fmt: skip
    found = make.explained(5, replaced)
    assert units(kept_units(found, by, "own")) == [[(0, 0), (0, 1), (3, 0)], [(3, 0), (3, 1)], [(T, 0)]]
    assert units(kept_units(found, by, "matched")) == [[(0, 0), (0, 1)], [(3, 0), (3, 1)], [(T, 0)]]


def test_without_words_nothing_is_kept(reference, by):
    none = np.array([], int)
    assert not kept_nodes(reference, by, "matched", none).nodes.any()
    assert not kept_nodes(reference, by, "own", none).nodes.any()


def test_an_empty_pi_plus_keeps_nothing_at_either_level(make):
    negative = make.explained(5, make.paths([-1.0], [[0, 0, 0, T]], heads=[[SKIP, SKIP, 0]], head_influence=[-1.0]))
    empty = reference_budget(negative, 5, 2, T)
    found = kept_units(negative, empty, "matched")
    assert not (found.nodes.any() or found.heads.any() or found.skips.any())
    assert empty.all_words.tolist() == [0]


def test_the_target_can_be_kept(by):
    found = with_target(by.kept, T)
    assert at(found.nodes) == [[0, 1, T], [0, 3, T], [3, T], [T]]
    assert at(found.skips) == [[0, T], [3, T], [T]]
    assert (found.heads == by.kept.heads).all()
    assert at(with_target(every_later_node(by), 2).nodes) == [[0, 1, 2], [0, 1, 2, 3, 4], [0, 1, 2, 3, 4], [0, 1, 2, 3, 4]]


def test_the_control_keeps_the_words_and_every_later_node(by):
    assert at(every_later_node(by).nodes) == [[0, 1], *[[0, 1, 2, 3, 4]] * 3]


def test_what_cannot_be_read_is_not_applicable(by, make):
    with pytest.raises(NotApplicable, match="the reference gives tokens, and a matched budget needs patterns"):
        reference_budget(Explanation(tokens=np.ones(5)), 5, 2, T)
    with pytest.raises(NotApplicable, match="the method gives tokens, from which nodes cannot be ranked"):
        kept_nodes(Explanation(tokens=np.ones(5)), by, "own", by.words)
    with pytest.raises(NotApplicable, match="the method gives nodes, and attention-level nodes are read from units"):
        kept_units(Explanation(nodes=np.ones((4, 5))), by, "own")
    flat = make.explained(5, make.paths([1.0], [[0, 0, 0, T]]))
    with pytest.raises(NotApplicable, match="the method gives patterns without heads"):
        kept_units(flat, by, "own")
    shallow = reference_budget(flat, 5, 2, T)
    with pytest.raises(NotApplicable, match="the reference has no attention level"):
        kept_units(flat, shallow, "own")
    with pytest.raises(NotApplicable, match="the reference has no attention level"):
        _ = shallow.unit_counts


def test_random_units_are_drawn_from_all_at_the_kept_positions(make):
    """Four units from 4 positions of 9: uniform draws cover 2.8 positions on average, not all four."""
    every = make.paths([1.0] * 4, [[j, j, j, T] for j in range(4)], heads=[[0, 0, 0]] * 4, head_influence=[1.0] * 4)
    by = reference_budget(make.explained(5, every), 5, 8, T)
    assert by.unit_counts[0] == 4
    rng, covered = np.random.default_rng(0), []
    for _ in range(300):
        draw = Explanation(tokens=np.ones(5), nodes=rng.random((4, 5)), units=rng.random((3, 5, 9)))
        kept = kept_units(draw, by, "matched")
        assert kept.heads[0].sum() + kept.skips[0].sum() == 4
        covered.append((kept.heads[0].any(1) | kept.skips[0]).sum())
    assert np.mean(covered) == pytest.approx(4 * (1 - math.comb(27, 4) / math.comb(36, 4)), abs=0.15)
