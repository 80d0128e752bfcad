"""The identities of influence patterns, against torch.func and brute force, in float64."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.methods.patterns.conftest import TOLERANCE

from flowgauge.core.errors import UsageError
from flowgauge.methods.patterns.influence_patterns import InfluencePatterns
from flowgauge.models.flow.pattern_influence import pattern_influence
from flowgauge.models.flow.trace import path_trace


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lengths=st.lists(st.integers(3, 7), min_size=2, max_size=4),
    seed=st.integers(0, 1000),
    k=st.sampled_from([1, 2]),
    beam=st.sampled_from([1, 3]),
)
def test_padding_and_batching_change_no_pattern(model, batches, single, lengths, seed, k, beam):
    method = InfluencePatterns(samples=5, k=k, beam=beam if k == 1 else 1)
    batch = batches(model, lengths, seed)
    for row, together in enumerate(method.explain(model, batch)):
        (own,) = method.explain(model, single(batch, row))
        assert abs(own.tokens - together.tokens).max() < TOLERANCE
        for name in ("influence", "head_influence", "total"):
            assert abs(getattr(own.patterns, name) - getattr(together.patterns, name)).max() < TOLERANCE
        assert (own.patterns.positions == together.patterns.positions).all()
        assert (own.patterns.heads == together.patterns.heads).all()


def test_float32_agrees_with_float64(models, batches):
    wide, narrow = (models(dtype=d) for d in (torch.float64, torch.float32))
    a, b = (InfluencePatterns(samples=10).explain(m, batches(m, [6, 5]))[0].patterns for m in (wide, narrow))
    assert abs(a.influence - b.influence).max() < 1e-4


def test_settings_are_checked():
    with pytest.raises(UsageError, match="beam must be above 0, got 0"):
        InfluencePatterns(beam=0)
    with pytest.raises(UsageError, match="cannot both exceed 1"):
        InfluencePatterns(beam=2, k=2)
    with pytest.raises(UsageError, match="suffix must be pattern or free, got 'open'"):
        InfluencePatterns(suffix="open")  # type: ignore[arg-type]


def test_exact_enumeration_refuses_large_graphs(models, batches):
    model = models(num_hidden_layers=7)
    with pytest.raises(UsageError, match=r"would walk 46,656 patterns a word \(6 tokens, 7 layers\), more than 20,000"):
        InfluencePatterns(exact=True, samples=2).explain(model, batches(model, [6]))


def test_exact_enumeration_stores_the_gap(model, batch):
    explanation = InfluencePatterns(exact=True, samples=4).explain(model, batch)[0]
    assert (explanation.patterns.gap > -TOLERANCE).all()


def test_flows_are_what_the_search_weighed(model, batch):
    """The best node of every layer is the pattern's, and a continued prefix has the influence that brute force gives."""
    trace = path_trace(model, batch, samples=4)
    for row, found in enumerate(InfluencePatterns(samples=4).explain(model, batch)):
        patterns, flows = found.patterns, found.flows
        for j, g, path in zip(patterns.source, patterns.total, patterns.positions[..., 0], strict=True):
            assert flows[j, 0, j] == pytest.approx(abs(g)) and np.count_nonzero(flows[j, 0]) == 1
            assert [flows[j, depth].argmax() for depth in range(1, model.n_layers)] == path[1:-1].tolist()
            assert np.count_nonzero(flows[j, -1]) <= 1
            every = np.array(list(itertools.product(range(batch.lengths[row]), repeat=model.n_layers - 2)))
            for first in range(batch.lengths[row]):  # all paths through (1, first)
                walks = np.column_stack(
                    [np.full(len(every), j), np.full(len(every), first), every, np.full(len(every), path[-1])]
                )
                whole = pattern_influence(trace, row, torch.from_numpy(walks)).sum()
                assert flows[j, 1, first] == pytest.approx(float(whole) * (-1 if g < 0 else 1), abs=1e-9)
