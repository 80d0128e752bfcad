"""Resampled sums, and the groups of conditions."""

from __future__ import annotations

import numpy as np
import pytest

from flowgauge.metrics.bootstrap import condition_groups, resampled_sums


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


def test_lone_conditions_are_put_together():
    assert condition_groups(np.array(["a", "b", "c"])).tolist() == [0, 0, 0]
    assert condition_groups(np.array(["a", "a", "b", "c", "c", "d"])).tolist() == [1, 1, 0, 2, 2, 0]


def test_a_single_lone_condition_joins_the_smallest_other():
    assert condition_groups(np.array(["a", "b", "b", "b", "c", "c"])).tolist() == [1, 0, 0, 0, 1, 1]
    assert condition_groups(np.array(["a"])).tolist() == [0]
