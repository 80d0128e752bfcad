"""Sampling units and their moments, against SciPy and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from flowgauge.metrics.statistics.units import Units, clusters_of, moments, sampling_units, strata_of

X = np.random.default_rng(0).gamma(1.0, size=(3, 20))


def test_without_strata_moments_are_the_usual_ones() -> None:
    known = moments(Units(X, np.ones(20), np.zeros(20, int)))
    assert known.mean == pytest.approx(X.mean(1))
    assert known.variance == pytest.approx(stats.sem(X, axis=1) ** 2)
    # The third cumulant of a mean is that of a value / n^2 (k-statistics are the unbiased estimates).
    cumulants = np.array([stats.kstat(row, 3) for row in X])
    assert known.skewness == pytest.approx(cumulants / 20**2 / known.variance**1.5)
    assert known.freedom.tolist() == [19, 19, 19]


def test_the_variance_of_a_stratified_mean_is_unbiased() -> None:
    rng = np.random.default_rng(1)
    conditions = np.array(["a"] * 3 + ["b"] * 5 + ["c"] * 2)
    center, spread = np.where(conditions == "a", 9.0, 0.0), np.where(conditions == "b", 2.0, 1.0)
    drawn = moments(sampling_units(center + spread * rng.normal(size=(40_000, 10)), conditions))
    assert drawn.variance.mean() == pytest.approx((3 + 5 * 4 + 2) / 100, rel=0.02)
    assert drawn.mean.var() == pytest.approx(drawn.variance.mean(), rel=0.03)
    assert (drawn.freedom <= 7 + 1e-9).all()


def test_a_cluster_is_one_unit_and_its_copies_say_nothing_new() -> None:
    conditions, names = np.array(["x"] * 20), np.arange(20).astype(str)
    alone = moments(sampling_units(X, conditions))
    doubled = moments(sampling_units(np.repeat(X, 2, axis=1), np.repeat(conditions, 2), np.repeat(names, 2)))
    for one, other in zip(alone, doubled, strict=True):
        assert other == pytest.approx(one)


def test_instances_without_a_cluster_are_units_and_clusters_across_conditions_have_no_strata() -> None:
    values = np.array([[1.0, 2.0, 3.0, 4.0]])
    units = sampling_units(values, np.array(["a", "a", "b", "b"]), np.array(["", "p", "p", ""]))
    assert sorted(units.sums[0].tolist()) == [1.0, 4.0, 5.0] and sorted(units.sizes.tolist()) == [1.0, 1.0, 2.0]
    assert units.strata.tolist() == [0, 0, 0]
    within = sampling_units(values, np.array(["a", "a", "b", "b"]), np.array(["p", "q", "r", "s"]))
    assert within.strata.tolist() == [0, 0, 1, 1]


def test_sums_of_clusters_are_over_their_instances_wherever_these_stand() -> None:
    values, names = np.array([[1.0, 2.0, 4.0, 8.0, 16.0], [0.0, 1.0, 0.0, 1.0, 0.0]]), np.array(["q", "", "p", "q", "p"])
    units = sampling_units(values, np.full(5, "x"), names)
    assert sorted(zip(*units.sums.tolist(), units.sizes.tolist(), strict=True)) == [
        (2.0, 1.0, 1.0),
        (9.0, 1.0, 2.0),
        (20.0, 0.0, 2.0),
    ]
    assert clusters_of(names) == 3 and clusters_of(names[1:4]) is None
    few = sampling_units(values, np.array(["a", "b", "b", "a", "b"]), names, least=3)
    assert few.strata.tolist() == [0, 0, 0]


def test_rounding_is_no_spread() -> None:
    assert moments(Units(np.full((1, 7), 0.1), np.ones(7), np.zeros(7, int))).variance.tolist() == [0]


@pytest.mark.parametrize(
    ("conditions", "least", "strata"),
    [
        (["a", "b", "c"], 2, [0, 0, 0]),
        (["a", "a", "b", "c", "c", "d"], 2, [1, 1, 0, 2, 2, 0]),
        (["a", "b", "b", "b", "c", "c"], 2, [1, 0, 0, 0, 1, 1]),
        (["a"], 2, [0]),
        (["a"] * 3 + ["b"] * 2 + ["c"] * 4, 3, [0, 0, 0, 0, 0, 1, 1, 1, 1]),
        (["a"] * 3 + ["b"] * 2 + ["c"] * 2, 8, [0] * 7),
    ],
)
def test_small_conditions_are_one_stratum(conditions: list[str], least: int, strata: list[int]) -> None:
    assert strata_of(np.array(conditions), least).tolist() == strata
