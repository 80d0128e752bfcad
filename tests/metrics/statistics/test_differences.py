"""Paired differences: what verdicts, intervals and needed units must agree in, whatever the scores."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_rel

from flowgauge.metrics.statistics.differences import paired_differences
from flowgauge.metrics.statistics.sign_flips import sign_flips
from flowgauge.metrics.statistics.units import Units, sampling_units

RNG = np.random.default_rng(2)
CONDITIONS = np.repeat(["x", "y"], 12)
TABLES = {
    "shares": (RNG.random((7, 24)) < np.linspace(0.1, 0.9, 7)[:, None]).astype(float),
    "skewed": RNG.exponential(size=(7, 24)) * np.linspace(0.2, 4, 7)[:, None],
    "conditions": RNG.normal(size=(7, 24)) + np.where(CONDITIONS == "x", 2, -2) * np.arange(7)[:, None],
    "equal": np.repeat(RNG.random((1, 24)), 7, 0),
    "shifted": RNG.random(24) + np.repeat([0.0, 0.5], [3, 4])[:, None],
}


@pytest.mark.parametrize("name", TABLES)
def test_verdicts_corrected_intervals_and_needed_units_agree(name) -> None:
    units = sampling_units(TABLES[name], CONDITIONS)
    d = paired_differences(units)
    assert d.mean == pytest.approx(units.sums.mean(1)[d.first] - units.sums.mean(1)[d.second])
    spread = ~np.isnan(d.low)
    assert (np.isnan(d.low_corrected) == ~spread).all()
    away = (d.low_corrected > 0) | (d.high_corrected < 0)
    assert not (away & ~d.separated).any() and not (d.separated & (d.low_corrected < 0) & (d.high_corrected > 0)).any()
    assert (np.isnan(d.needed) == d.separated).all() and (d.needed[~d.separated] > 24).all()
    assert np.isinf(d.needed[np.abs(d.mean) < 1e-12]).all()
    assert (d.level >= 0.05 / len(d.mean) - 1e-12).all() and ((d.p < d.level) == d.separated).all()
    wider = (d.low_corrected <= d.low + 1e-12) & (d.high_corrected >= d.high - 1e-12)
    assert wider[spread & ~d.separated].all()


def test_the_interval_of_a_pair_alone_is_students_for_symmetric_differences() -> None:
    gap = np.concatenate([x := RNG.normal(size=10), -x]) + 0.3
    d = paired_differences(Units(np.stack([gap, np.zeros(20)]), np.ones(20), np.zeros(20, int)))
    low, high = ttest_rel(gap, np.zeros(20)).confidence_interval()
    assert (d.low[0], d.high[0]) == pytest.approx((low, high)) and d.level.tolist() == [0.05]


def test_one_unit_has_means_alone() -> None:
    d = paired_differences(Units(np.array([[1.0], [0.0], [0.5]]), np.ones(1), np.zeros(1, int)))
    assert d.mean.tolist() == [1, 0.5, -0.5] and not d.separated.any()
    assert all(np.isnan(part).all() for part in d[3:])


def test_clusters_are_flipped_whole_so_that_equal_methods_are_rarely_called_different() -> None:
    """16 clusters of four, correlated by .5 within: the level is .051 in 2000 samples, .228 one by one (docs/intervals.md)."""
    rng, names = np.random.default_rng(0), np.repeat(np.arange(16), 4).astype(str)
    found = np.zeros(2, int)
    for _ in range(80):
        gap = np.sqrt(0.5) * (rng.normal(size=16).repeat(4) + rng.normal(size=64))
        drawn = [sampling_units(np.stack([gap, np.zeros(64)]), np.full(64, "x"), clusters) for clusters in (names, None)]
        found += [sign_flips(units, np.array([[0, 1]])).item() < 0.05 for units in drawn]
    assert found[0] <= 8 and found[1] >= 12, found
