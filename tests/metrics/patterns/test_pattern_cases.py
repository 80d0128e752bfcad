"""What all metrics of patterns share: which explanations they take, bundles, and draws."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.metrics.conftest import aggregate
from tests.metrics.patterns.conftest import T

from flowgauge.core.errors import NotApplicable
from flowgauge.methods.explanation import Explanation
from flowgauge.methods.patterns.influence_patterns import InfluencePatterns
from flowgauge.metrics.base import ExplainedBatch
from flowgauge.metrics.patterns.alignment_rate import AlignmentRate
from flowgauge.metrics.patterns.concentration import Concentration
from flowgauge.metrics.patterns.path_share import PathShare
from flowgauge.metrics.patterns.skip_share import SkipShare
from flowgauge.models.flow.graph import NO_EDGE, SKIP, Patterns

ALL = [Concentration(), PathShare(), SkipShare(influence=False), AlignmentRate()]


def test_bundles_of_two_nodes_a_layer(make, model, value_of):
    """One word, two nodes at hidden[1]: four edges, two of which could be skips."""
    positions = np.array([[[0, -1], [0, 1], [T, -1], [T, -1]]])
    heads = np.full((1, 3, 2, 2), NO_EDGE)
    heads[0, 0, 0, 0], heads[0, 0, 1, 0] = SKIP, 2
    heads[0, 1, 0] = [1, 3]
    heads[0, 2, 0, 0] = SKIP
    bundle = Patterns(np.array([0]), np.array([2.0]), np.array([1.5]), positions, np.array([0.5]), heads)
    shown = make.by_hand(model, make.batch(model, [5]), [make.explained(5, bundle)])
    assert value_of(Concentration().score(model, [shown], None), "positive/attention") == 0.25
    assert value_of(PathShare().score(model, [shown], None), "embedding") == 2 / 5**3
    # (0,0) skip, (0,1) head 2, (1,2) heads 1 and 3, (2,2) skip: two nodes at hidden[1], two heads onward
    assert value_of(PathShare().score(model, [shown], None), "attention") == 4 / 21**3
    scores = SkipShare(samples=2).score(model, [shown], None)
    assert value_of(scores, "skip_share") == 2 / 5 and value_of(scores, "same_position_share") == 2 / 5
    assert aggregate(scores, "influence_weighted").reason.startswith("the patterns are bundles")


@pytest.mark.parametrize("metric", ALL, ids=lambda m: m.name)
def test_methods_without_patterns_are_not_applicable(make, model, metric):
    batch = make.batch(model, [5])
    shown = make.by_hand(model, batch, [Explanation(nodes=np.ones((4, 5)))])
    with pytest.raises(NotApplicable, match="the method gives nodes, and this metric reads patterns"):
        metric.score(model, [shown], None)
    flat = make.explained(5, make.paths([1.0], [[0, 0, 0, T]]))
    several = replace(batch, target=None)
    with pytest.raises(NotApplicable, match="q reads several positions"):
        metric.score(model, [ExplainedBatch(several, several, shown.instances, (flat,), (flat,))], None)


@pytest.mark.parametrize("metric", [SkipShare(influence=False), AlignmentRate()], ids=lambda m: m.name)
def test_patterns_without_heads_are_not_applicable(make, model, metric):
    flat = make.explained(5, make.paths([1.0], [[0, 0, 0, T]]))
    with pytest.raises(NotApplicable, match="the patterns have no attention level"):
        metric.score(model, [make.by_hand(model, make.batch(model, [5]), [flat])], None)


def test_wide_bundles_of_the_method_itself(make, model):
    batch = make.batch(model, [5])
    made = InfluencePatterns(samples=2, k=2).explain(model, batch)
    shown = make.by_hand(model, batch, made)
    assert aggregate(SkipShare(influence=False).score(model, [shown], None), "same_position_share").value < 1
    assert aggregate(PathShare().score(model, [shown], None), "embedding").value > 0


def test_draws_are_not_instances(make, model):
    batch = make.batch(model, [5, 5])
    one = make.explained(5, make.paths([1.0], [[0, 0, 0, 2]], [0.5], heads=[[0, 0, 0]]))
    for metric, variant in ((Concentration(), "positive/embedding/corpus"), (AlignmentRate(), "alignment_rate")):
        shown = make.by_hand(model, batch, [Explanation(draws=(one,) * 20)] * 2)
        assert aggregate(metric.score(model, [shown], None), variant).count == 2
