"""Holm's correction by hand, its levels, and the units that a level needs."""

from __future__ import annotations

import hypothesis.extra.numpy as hnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_1samp

from flowgauge.metrics.statistics.multiplicity import holm, holm_levels, units_needed
from flowgauge.metrics.statistics.units import Units, moments


def test_holm_by_hand_and_undefined_tests_do_not_count() -> None:
    assert holm(np.array([0.01, np.nan, 0.02, 0.5])).tolist() == pytest.approx([0.03, np.nan, 0.04, 0.5], nan_ok=True)
    assert holm(np.array([0.9, 0.8])).tolist() == [1, 1]


def test_levels_by_hand() -> None:
    levels = holm_levels(np.array([0.01, np.nan, 0.02, 0.5, 0.001]))
    assert levels.tolist() == pytest.approx([0.05 / 3, np.nan, 0.05 / 2, 0.05, 0.05 / 4], nan_ok=True)
    assert holm_levels(np.array([0.9, 0.001, 0.8])).tolist() == pytest.approx([0.025, 0.05 / 3, 0.025]), "stops at the second"
    assert (
        holm_levels(np.full(2, np.nan)).tolist() == pytest.approx([np.nan] * 2, nan_ok=True)
        and holm_levels(np.zeros(0)).size == 0
    )


@given(hnp.arrays(float, st.integers(1, 12), elements=st.floats(0, 1)))
def test_a_test_is_significant_at_its_level_if_and_only_if_it_is_after_correction(p) -> None:
    corrected, levels = holm(p), holm_levels(p)
    clear = np.abs(corrected - 0.05) > 1e-9
    assert ((p < levels) == (corrected < 0.05))[clear].all()


@pytest.mark.parametrize("level", [0.05, 0.05 / 100])
def test_the_units_needed_give_the_power_promised(level) -> None:
    gap = np.random.default_rng(5).normal(0.4, 1.0, 4000)
    known = moments(Units(gap[None, :20], np.ones(20), np.zeros(20, int)))._replace(
        mean=np.array([gap.mean()]), variance=np.array([gap.var() / 20])
    )
    needed = units_needed(known, 20, np.array([level]), np.array([False]))
    drawn = np.random.default_rng(1).choice(gap, (2000, int(needed[0])))
    # The test of few units at a small level loses a little to Student's t.
    assert (ttest_1samp(drawn, 0, axis=1).pvalue < level).mean() == pytest.approx(0.77, abs=0.05)


def test_never_fewer_than_there_are_nor_than_patterns_of_signs_can_be_significant() -> None:
    gaps = np.array([np.full(6, 0.2), np.zeros(6), np.tile([1.0, 0.9], 3), np.tile([1.0, 0.9], 3)])
    known = moments(Units(gaps, np.ones(6), np.zeros(6, int)))
    needed = units_needed(known, 6, np.array([0.05, 0.05, 0.001, 0.05]), np.array([False, False, False, True]))
    assert needed.tolist() == pytest.approx([7, np.inf, 11, np.nan], nan_ok=True)
