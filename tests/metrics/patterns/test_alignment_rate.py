"""Alignment with attention, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from tests.metrics.conftest import aggregate
from tests.metrics.patterns.conftest import T

from flowgauge.methods.explanation import Explanation
from flowgauge.metrics.patterns.alignment_rate import AlignmentRate
from flowgauge.metrics.patterns.path_share import PathShare
from flowgauge.metrics.patterns.skip_share import SkipShare
from flowgauge.models.flow.graph import ALL_HEADS, SKIP


def test_alignment(model, shown, value_of):
    from flowgauge.metrics.patterns.alignment_rate import input_attention

    weights = input_attention(model, shown)
    assert weights[0][0].sum(-1) == pytest.approx(np.ones((4, 5)))
    best = [
        [weights[layer][0, :, i, p].argmax() for layer, p, i in path]
        for path in ([(2, 0, T)], [(0, 1, 0), (1, 0, T)], [(0, 3, T), (2, T, T)])
    ]
    scores = AlignmentRate().score(model, [shown], None)
    chosen = [[3], [0, 1], [2, 0]]
    aligned = sum(int(a == b) for x, y in zip(best, chosen, strict=True) for a, b in zip(x, y, strict=True))
    pooled = aggregate(scores, "alignment_rate")
    assert (pooled.value, pooled.count, pooled.undefined) == (aligned / 5, 1, 1)
    assert pooled.reason == "no edge of the patterns takes a single head."
    assert aggregate(scores, "chance").value == 0.25


def test_alignment_is_pooled_over_edges(make, model):
    """One instance takes the best head on its three edges, the other takes it once and a worse one twice."""
    from flowgauge.metrics.patterns.alignment_rate import input_attention

    batch = make.batch(model, [5, 5])
    path = [0, 1, 3, T]
    empty = make.by_hand(model, batch, [Explanation(tokens=np.zeros(5))] * 2)
    weights = input_attention(model, empty)
    best = [[int(weights[layer][row, :, path[layer + 1], path[layer]].argmax()) for layer in range(3)] for row in range(2)]
    heads = [best[0], [best[1][0], (best[1][1] + 1) % 4, SKIP]]
    made = [make.explained(5, make.paths([1.0], [path], [1.0], [h], [1.0])) for h in heads]
    scores = AlignmentRate().score(model, [make.by_hand(model, batch, made)], None)
    assert aggregate(scores, "alignment_rate").value == 4 / 5
    assert aggregate(scores, "mean").value == 0.75


def test_all_heads_at_once_are_no_choice(make, model, value_of):
    replaced = make.paths([1.0], [[0, 0, 0, T]], [1.0], [[ALL_HEADS, ALL_HEADS, 1]])
    shown = make.by_hand(model, make.batch(model, [5]), [make.explained(5, replaced)])
    assert value_of(SkipShare(influence=False).score(model, [shown], None), "skip_share") == 0.0
    scores = AlignmentRate().score(model, [shown], None)
    assert aggregate(scores, "mean").value in (0.0, 1.0)
    # 4 heads at 0, 4 heads again, one head at the target: 1 x 4 x 4 x 1 paths
    assert value_of(PathShare().score(model, [shown], None), "attention") == 16 / 21**3
