"""Paired differences: what verdicts, intervals and needed units must agree in, whatever the scores."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import ttest_rel

from flowgauge.metrics.statistics.differences import paired_differences
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
