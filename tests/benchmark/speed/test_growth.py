"""Exponents of growth are slopes between logarithms."""

from __future__ import annotations

import pytest

from flowgauge.benchmark.speed import growth
from flowgauge.benchmark.speed.growth import measure_growth

from .test_comparisons import SMALL


def test_exponents_are_slopes_over_all_sizes_and_at_the_end():
    found = growth._growth("tokens", [8, 16, 32], [1.0, 4.0, 16.0])
    assert found.exponent == pytest.approx(2) and found.at_end == pytest.approx(2)
    assert growth._growth("tokens", [1, 2, 4], [1.0, 1.0, 4.0]).at_end == pytest.approx(2)


def test_every_size_is_timed_and_a_slow_one_once(monkeypatch):
    taken = iter([(0.0, 0.1)] * 2 + [(0.0, 3.0), (0.0, 2.0), (0.0, 11.0)] + [(0.0, 1.0)] * 8)
    monkeypatch.setattr(growth, "taken_by", lambda job: next(taken))
    instances, tokens, layers = measure_growth((1, 2), (4, 8), (1, 2), samples=2, shape=SMALL)
    assert instances.seconds == (2.0, 11.0) and tokens.seconds == layers.seconds == (1.0, 1.0)
    assert (instances.sizes, tokens.sizes, layers.sizes) == ((1, 2), (4, 8), (1, 2)) and next(taken, None) is None


def test_explanations_are_what_is_timed():
    assert all(min(one.seconds) > 0 for one in measure_growth((1, 2), (4, 5), (1, 2), samples=1, shape=SMALL))
