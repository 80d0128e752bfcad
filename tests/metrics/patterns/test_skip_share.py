"""Shares of skips, by hand and against brute force."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.metrics.conftest import aggregate
from tests.metrics.patterns.conftest import T

from flowgauge.core.errors import UsageError
from flowgauge.methods.explanation import Explanation
from flowgauge.metrics.patterns.skip_share import SkipShare, skip_parts
from flowgauge.models.flow.graph import SKIP, Patterns
from flowgauge.models.flow.pattern_influence import pattern_influence
from flowgauge.models.flow.trace import path_trace


def test_skips_are_counted_with_multiplicity(model, shown, value_of):
    scores = SkipShare(influence=False).score(model, [shown], None)
    # 9 edges, by word 0: 0-0, 0-0, 0-2; word 1: 1-0, 0-2, 2-2; word 3: 3-2, 2-2, 2-2
    expected = {
        "skip_share": [4 / 9, 1.0],
        "same_position_share": [5 / 9, 1.0],
        "skip_given_same": [4 / 5, 1.0],
        "ceiling": [2 / 3, 1.0],
    }
    for variant, values in expected.items():
        assert [value_of(scores, variant, name) for name in shown.batch.names] == pytest.approx(values)


def test_skips_of_no_words_are_undefined(make, model):
    nothing = Patterns(
        np.zeros(0, int), np.zeros(0), np.zeros(0), np.zeros((0, 4, 1), int), np.zeros(0), np.zeros((0, 3, 1, 1), int)
    )
    away = make.paths([1.0], [[0, 1, 0, T]], [1.0], [[0, 0, 0]], [1.0])
    shown = make.by_hand(
        model, make.batch(model, [5, 5]), [Explanation(tokens=np.zeros(5), patterns=nothing), make.explained(5, away)]
    )
    scores = SkipShare(samples=2).score(model, [shown], None)
    reasons = {(r.variant, r.instance): r.reason for r in scores.rows.itertuples() if np.isnan(r.value)}
    first, second = shown.batch.names
    assert reasons[("skip_share", first)] == reasons[("influence_weighted", first)] == "no word has a pattern."
    assert reasons[("skip_given_same", second)] == "no edge stays at its position."
    assert reasons[("influence_weighted/skip_given_same", second)] == "no edge stays at its position."
    assert aggregate(scores, "influence_weighted").value == 0.0


def test_skip_parts_are_those_of_brute_force(make, model):
    """The part through layer l's skip is the sum over every choice of heads and skips at the other layers."""
    batch = make.batch(model, [5, 4])
    trace = path_trace(model, batch, samples=3)
    paths = torch.tensor([[0, 0, 0, T], [1, 1, T, T], [0, 3, 1, T]])
    skips, total = skip_parts(trace.one(0), paths)
    codes = torch.cartesian_prod(*[torch.arange(-1, 4)] * 3)
    for m, path in enumerate(paths):
        every = pattern_influence(trace, 0, path.expand(len(codes), 4), codes)
        assert float(total[m]) == pytest.approx(float(every.sum()), abs=1e-10)
        for layer in range(3):
            assert float(skips[m, layer]) == pytest.approx(float(every[codes[:, layer] == -1].sum()), abs=1e-10)
    assert (skips[2] == 0).all() and (abs(skips[0, :2]) > 1e-6).all()


def test_influence_weighted_skips(make, model, value_of):
    batch = make.batch(model, [5, 4])
    shown = make.by_method(model, batch, "influence-patterns:samples=3")
    scores = SkipShare(samples=3).score(model, [shown], None)
    trace = path_trace(model, batch, samples=3)
    for row, name in enumerate(batch.names):
        positions = shown.gold[row].patterns.positions[..., 0]
        skips, total = (x.numpy() for x in skip_parts(trace.one(row), torch.from_numpy(positions)))
        assert total == pytest.approx(shown.gold[row].patterns.influence, abs=1e-10)
        heads, same = abs(total[:, None] - skips), positions[:, 1:] == positions[:, :-1]
        assert value_of(scores, "influence_weighted", name) == pytest.approx(abs(skips).sum() / (abs(skips) + heads).sum())
        expected = abs(skips[same]).sum() / (abs(skips) + heads)[same].sum()
        assert value_of(scores, "influence_weighted/skip_given_same", name) == pytest.approx(expected)


def test_the_other_reading_counts_the_distinct_heads_and_skips_of_the_union(model, shown, value_of):
    """Nine edges of three words; the skip of the target at layer 3 is of two patterns."""
    scores = SkipShare(influence=False, reading="union").score(model, [shown], None)
    units = {
        (0, 0, "skip"),
        (1, 0, "skip"),
        (2, T, 3),
        (0, 0, 0),
        (1, T, 1),
        (2, T, "skip"),
        (0, T, 2),
        (1, T, "skip"),
        (2, T, 0),
    }
    skips = [unit for unit in units if unit[2] == "skip"]
    assert value_of(scores, "skip_share", shown.batch.names[0]) == pytest.approx(len(skips) / len(units))
    assert value_of(scores, "skip_share", shown.batch.names[1]) == 1.0
    with pytest.raises(UsageError, match="reading must be words or union, got 'nodes'"):
        SkipShare(reading="nodes")


def test_a_skip_of_two_patterns_counts_once_in_the_union(make, model, value_of):
    paths = make.paths([1.0, 1.0], [[0, 0, T, T], [1, T, T, T]], [1.0, 1.0], [[SKIP, 1, SKIP], [2, SKIP, SKIP]], [1.0, 1.0])
    shown = make.by_hand(model, make.batch(model, [5]), [make.explained(5, paths)])
    by_words, union = (SkipShare(influence=False, reading=r).score(model, [shown], None) for r in ("words", "union"))
    assert value_of(by_words, "skip_share") == pytest.approx(4 / 6)
    assert value_of(union, "skip_share") == pytest.approx(3 / 5)
