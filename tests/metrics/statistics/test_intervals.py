"""Intervals, against SciPy, by identities, and by their coverage in small seeded simulations."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from flowgauge.metrics.statistics.intervals import jackknife_intervals, mean_intervals, mean_of_sums, t_intervals
from flowgauge.metrics.statistics.units import Units, moments, strata_of

X = np.random.default_rng(0).normal(size=(3, 20))
ONE = np.array(["x"] * 20)


def test_a_symmetric_sample_has_students_interval() -> None:
    symmetric = np.concatenate([X, -X], 1)
    known = moments(Units(symmetric, np.ones(40), np.zeros(40, int)))
    low, high = t_intervals(known)
    expected = stats.t.interval(0.95, 39, symmetric.mean(1), stats.sem(symmetric, axis=1))
    assert low == pytest.approx(expected[0]) and high == pytest.approx(expected[1])


def test_the_interval_solves_halls_equation() -> None:
    known = moments(Units(np.exp(X), np.ones(20), np.zeros(20, int)))
    for end, t in zip(t_intervals(known, 0.9), (stats.t.ppf(0.95, 19), stats.t.ppf(0.05, 19)), strict=True):
        error, k = (known.mean - end) / np.sqrt(known.variance), known.skewness
        assert error + k * error**2 / 3 + k**2 * error**3 / 27 + k / 6 == pytest.approx(np.full(3, t))


@pytest.mark.parametrize("ones", [0, 3, 15, 20])
def test_zeros_and_ones_have_wilsons_interval(ones: int) -> None:
    values = np.array([[1.0] * ones + [0.0] * (20 - ones)])
    expected = stats.binomtest(ones, 20).proportion_ci(0.95, "wilson")
    (found,) = mean_intervals(values, ONE, bounds=(0, 1))
    assert found.tolist() == pytest.approx([ones / 20, expected.low, expected.high])


def test_equal_scores_have_an_interval_only_where_zero_and_one_are_the_bounds() -> None:
    equal = np.array([[1.0] * 20, [0.1] * 20])
    assert np.isnan(mean_intervals(equal, ONE)[:, 1:]).all()
    assert np.isnan(mean_intervals(equal, ONE, bounds=(0, 1))[:, 1:]).tolist() == [[False, False], [True, True]]
    assert np.isnan(mean_intervals(equal[:, :1], ONE[:1], bounds=(0, 1))[:, 1:]).all()


def test_ends_lie_within_the_bounds_of_scores_that_do() -> None:
    values = np.array([[0.9, 0.99, 0.98, 0.7]])
    free, held = (mean_intervals(values, ONE[:4], bounds=bounds)[0] for bounds in ((None, None), (0.0, 1.0)))
    assert free[2] > 1 and held.tolist() == [free[0], free[1], 1.0]
    assert mean_intervals(values, ONE[:4], bounds=(None, 0.5))[0].tolist() == free.tolist()


def test_a_row_has_the_interval_that_it_has_alone_in_any_order_and_scale() -> None:
    values = np.concatenate([X, (X[:1] > 0).astype(float)])
    values[1, :4] = np.nan
    conditions = np.array(["a"] * 10 + ["b"] * 10)
    together, order = mean_intervals(values, conditions), np.random.default_rng(1).permutation(20)
    alone = np.concatenate([mean_intervals(row[None], conditions) for row in values])
    assert together == pytest.approx(alone, rel=1e-12)
    assert mean_intervals(values[:, order], conditions[order]) == pytest.approx(together, rel=1e-12)
    assert mean_intervals(1000 * X, ONE) == pytest.approx(1000 * mean_intervals(X, ONE), rel=1e-12)


def test_the_jackknife_of_a_mean_is_its_interval() -> None:
    strata = strata_of(np.array(["a"] * 7 + ["b"] * 13))
    skewed = np.exp(X[0])
    found = jackknife_intervals(np.stack([skewed, np.ones(20)], 1), strata, mean_of_sums)
    (low,), (high,) = t_intervals(moments(Units(skewed[None], np.ones(20), strata)))
    assert (found.low[0], found.high[0], found.bias[0]) == pytest.approx((low, high, 0))


def test_the_jackknife_finds_the_bias_of_a_variance() -> None:
    """The variance with n in the denominator is n - 1 out of n of the unbiased one, which the jackknife gives exactly."""
    features = np.stack([X[0], X[0] ** 2, np.ones(20)], 1)
    variance = lambda sums: (sums[..., 1] / sums[..., 2] - (sums[..., 0] / sums[..., 2]) ** 2)[..., None]  # noqa: E731
    found = jackknife_intervals(features, np.zeros(20, int), variance)
    assert found.value[0] - found.bias[0] == pytest.approx(X[0].var(ddof=1))
    assert found.low[0] < X[0].var(ddof=1) < found.high[0]


def test_one_unit_and_equal_units_have_no_interval() -> None:
    for features in (np.ones((1, 2)), np.full((5, 2), 0.1)):
        found = jackknife_intervals(features, np.zeros(len(features), int), mean_of_sums)
        assert np.isfinite(found.value[0]) and np.isnan([found.low[0], found.high[0]]).all()


def of_two_conditions(rng: np.random.Generator, size: int) -> np.ndarray:
    return (rng.random((4000, size)) < np.where(np.arange(size) % 2, 0.9, 0.3)).astype(float)


@pytest.mark.parametrize(
    ("draw", "truth", "size"),
    [
        (lambda rng, n: (rng.random((4000, n)) < 0.98).astype(float), 0.98, 16),
        (lambda rng, n: (rng.random((4000, n)) < 0.98).astype(float), 0.98, 64),
        (of_two_conditions, 0.6, 64),
        (lambda rng, n: rng.exponential(size=(4000, n)), 1.0, 16),
        (lambda rng, n: rng.beta(0.2, 2, (4000, n)), 0.2 / 2.2, 16),
        (lambda rng, n: rng.normal(size=(4000, n)) + 5 * (np.arange(n) // 2), None, 16),
    ],
    ids=["share-16", "share-64", "share-in-two-conditions", "exponential", "beta", "conditions-of-two"],
)
def test_intervals_cover(draw: Callable[[np.random.Generator, int], np.ndarray], truth: float | None, size: int) -> None:
    """At the nominal 95 %; 4000 samples give a standard error of 0.35 %."""
    values = draw(np.random.default_rng(0), size)
    conditions = np.array(["x"] * size) if truth not in (0.6, None) else (np.arange(size) % 2 if truth else np.arange(size) // 2)
    bounds = mean_intervals(values, conditions.astype(str), bounds=(0, 1) if values.max() <= 1 else (None, None))
    center = values.mean() if truth is None else truth
    assert 0.92 <= ((bounds[:, 1] <= center) & (center <= bounds[:, 2])).mean() <= 0.97
