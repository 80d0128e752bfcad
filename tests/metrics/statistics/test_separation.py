"""Pairs are tested as in a table of two, and an order is held against a known one."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import kendalltau

from flowgauge.metrics.statistics.differences import paired_differences
from flowgauge.metrics.statistics.separation import order_agreement, separation
from flowgauge.metrics.statistics.units import sampling_units


def test_a_pair_is_tested_as_in_a_table_of_two() -> None:
    rng = np.random.default_rng(0)
    values, conditions = rng.normal(size=(6, 12)) + np.arange(6)[:, None] / 3, np.array(["S", "P"] * 6)
    pairs = np.array([[0, 1], [0, 5], [2, 4], [3, 3]])
    compared = separation(values, pairs, conditions)
    for index, pair in enumerate(pairs[:3]):
        alone = paired_differences(sampling_units(values[pair], conditions))
        assert compared.difference[index] == pytest.approx(alone.mean[0])
        assert compared.separated[index] == alone.separated[0]
    assert compared.separated[1] and not compared.separated[3] and compared.difference[3] == 0


def test_clusters_are_drawn_together() -> None:
    gaps = np.repeat([1.0, 1.2, 0.9, 1.1, 1.0], 8)
    values, pair, conditions = np.stack([gaps, np.zeros(40)]), np.array([[0, 1]]), np.full(40, "")
    assert separation(values, pair, conditions).separated[0]
    assert not separation(values, pair, conditions, np.repeat(list("abcde"), 8)).separated[0]  # 2 of 32 signs: p = .0625


def test_without_ties_the_agreement_is_kendalls_tau() -> None:
    rng = np.random.default_rng(1)
    for _ in range(5):
        truth, scores = rng.normal(size=(2, 7))
        assert order_agreement(truth, scores) == pytest.approx(kendalltau(truth, scores).statistic)


def test_ties_of_the_scores_count_as_neither_and_those_of_the_truth_do_not_count() -> None:
    assert order_agreement(np.array([1.0, 2, 3]), np.zeros(3)) == 0
    assert order_agreement(np.array([1.0, 2, 3]), np.array([1.0, 1, 2])) == pytest.approx(2 / 3)
    assert order_agreement(np.array([1.0, 1, 3]), np.array([1.0, 9, 10])) == 1
    assert np.isnan(order_agreement(np.ones(3), np.arange(3.0)))
