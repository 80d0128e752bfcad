"""Bootstrap intervals, against scipy and by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats

from flowgauge.metrics.bootstrap import bca_levels, condition_groups, interval, mean_of_sums, resampled_sums
from flowgauge.metrics.patterns.pattern_cases import ratio_of_sums


def test_the_interval_is_scipys_bca_interval_for_the_same_replicates(skewed):
    features = np.stack([skewed.values, np.ones(30)], 1)
    groups = condition_groups(np.array(skewed.conditions))
    replicates = mean_of_sums(resampled_sums(features, groups, np.random.default_rng(0)))[:, 0]
    groups_apart = (skewed.values[:10], skewed.values[10:])
    mean = lambda a, b, axis=-1: (a.sum(axis) + b.sum(axis)) / (a.shape[axis] + b.shape[axis])  # noqa: E731
    same = SimpleNamespace(bootstrap_distribution=replicates)
    theirs = stats.bootstrap(
        groups_apart, mean, n_resamples=0, bootstrap_result=same, method="BCa", vectorized=True
    ).confidence_interval
    ours = interval(features, groups, mean_of_sums)
    assert (ours.low[0], ours.high[0]) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert theirs.high - theirs.low > 0.5


def test_the_ratio_of_sums_has_scipys_bca_interval(skewed):
    features = np.stack([skewed.values, 1 + np.arange(30.0)], 1)
    groups = np.zeros(30, int)
    replicates = ratio_of_sums(resampled_sums(features, groups, np.random.default_rng(0)))[:, 0]
    ratio = lambda a, b, axis=-1: a.sum(axis) / b.sum(axis)  # noqa: E731
    same = SimpleNamespace(bootstrap_distribution=replicates)
    theirs = stats.bootstrap(
        (features[:, 0], features[:, 1]), ratio, n_resamples=0, bootstrap_result=same, paired=True, vectorized=False
    ).confidence_interval
    ours = interval(features, groups, ratio_of_sums)
    assert (ours.low[0], ours.high[0]) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_resamples_keep_the_size_of_every_group():
    groups = np.array([0, 0, 0, 1, 1, 2])
    indicator = np.eye(3)[groups]
    sums = resampled_sums(indicator, groups, np.random.default_rng(0), 50)
    assert (sums == [3, 2, 1]).all()
    drawn = resampled_sums(np.eye(6), groups, np.random.default_rng(0), 4000)
    assert drawn.mean(0) == pytest.approx(np.ones(6), abs=0.06)
    assert drawn[:, 0].var() == pytest.approx(3 * (1 / 3) * (2 / 3), abs=0.05)


def test_resampling_in_pieces_is_complete(monkeypatch):
    monkeypatch.setattr("flowgauge.metrics.bootstrap.CHUNK", 8)
    sums = resampled_sums(np.ones((5, 1)), np.zeros(5, int), np.random.default_rng(0), 7)
    assert sums[:, 0].tolist() == [5.0] * 7


def test_bca_falls_back_to_percentiles_where_it_is_undefined():
    replicates = np.array([[1.0], [2.0], [3.0]])
    levels = bca_levels(np.array([9.0]), replicates, np.array([[1.0], [2.0]]), np.zeros(2, int))
    assert levels[:, 0].tolist() == [0.025, 0.975]


def test_lone_conditions_are_put_together():
    assert condition_groups(np.array(["a", "b", "c"])).tolist() == [0, 0, 0]
    assert condition_groups(np.array(["a", "a", "b", "c", "c", "d"])).tolist() == [1, 1, 0, 2, 2, 0]


def test_a_single_lone_condition_joins_the_smallest_other():
    assert condition_groups(np.array(["a", "b", "b", "b", "c", "c"])).tolist() == [1, 0, 0, 0, 1, 1]
    assert condition_groups(np.array(["a"])).tolist() == [0]
