"""Pairs that are timed together: what each side does, and how their ratio is taken."""

from __future__ import annotations

import pytest

from flowgauge.benchmark.speed import comparisons as module
from flowgauge.benchmark.speed.comparisons import Comparison, ComparisonSizes, comparisons

SMALL = {"num_hidden_layers": 2, "num_attention_heads": 2, "hidden_size": 16, "intermediate_size": 32, "vocab_size": 30522}
SIZES = ComparisonSizes(sentences=1, run=2, draws=2, patterns=2, shape=SMALL, tokens=5, depths=(1, 2))


@pytest.fixture(scope="module")
def every() -> list[Comparison]:
    return comparisons(SIZES)


def test_both_sides_of_every_comparison_run(every):
    assert len({one.name for one in every}) == len(every) == 11 and all(one.goal > 0 for one in every)
    for one in every:
        timed = module._timed(one, 1)
        assert timed.repeats == 1 and timed.ratio == timed.low == timed.high > 0 and timed.unit_seconds > 0


def test_ratios_are_medians_of_repeats_without_the_first(monkeypatch):
    taken = iter([(9.0, 9.0), (1.0, 1.0), (2.0, 2.0), (3.0, 8.0), (2.0, 4.0), (5.0, 6.0), (4.0, 1.0), (7.0, 2.0)])
    monkeypatch.setattr(module, "taken_by", lambda job: next(taken))
    timed = module._timed(Comparison("a", "b", 1.0, print, print), 3)
    assert (timed.ratio, timed.low, timed.high, timed.seconds, timed.unit_seconds, timed.repeats) == (2.0, 1.5, 4.0, 5.0, 2.0, 3)


def test_a_long_side_is_timed_once(monkeypatch):
    taken = iter([(1.0, 1.0), (100.0, 99.0)])
    monkeypatch.setattr(module, "taken_by", lambda job: next(taken))
    timed = module._timed(Comparison("a", "b", 1.0, print, print), 5)
    assert (timed.ratio, timed.repeats) == (99.0, 1)
