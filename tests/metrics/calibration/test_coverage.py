"""Intervals cover in simulations, and where there is none the reason is known."""

from __future__ import annotations

import numpy as np
import pytest

from flowgauge.metrics.calibration.coverage import Calibration, Sizes, held_by, settings


@pytest.fixture(scope="module")
def small() -> dict[str, Calibration]:
    return {setting.name: setting.calibrate(Sizes(64, samples=240), seed=1) for setting in settings()}


def test_intervals_cover_at_64_instances(small: dict[str, Calibration]) -> None:
    for name, found in small.items():
        if name != "0 or 1, p = 1":
            assert found.low <= 0.97 and found.high >= 0.92, found
        assert found.width > 0 and found.promised == 0.95, found


def test_a_share_of_all_or_none_of_the_samples_has_an_interval_too(small: dict[str, Calibration]) -> None:
    sure = small["0 or 1, p = 1"]
    assert (sure.actual, sure.high) == (1, 1) and 0.97 < sure.low < 1


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("entropy, sparse patterns", "an interval needs 32 instances, and there are 12"),
        ("correlation of heads, r = 0", "an interval needs 16 instances a cell, and there are 12"),
        ("ratio of sums", "an interval needs 12 instances, and the 12 are worth"),
    ],
)
def test_too_few_instances_have_no_interval_and_a_reason(name: str, reason: str) -> None:
    (setting,) = (setting for setting in settings() if setting.name == name)
    found = setting.calibrate(Sizes(12, samples=32), seed=0)
    assert found.without == 1 and np.isnan([found.actual, found.low, found.width]).all()
    assert found.reason.startswith(reason)


def test_what_is_held_is_counted_of_the_samples_that_have_an_interval() -> None:
    found = held_by(np.array([0.0, np.nan, 2.0]), np.array([1.0, np.nan, 3.0]), 1.0, ["a", "b", "c"])
    assert found.held.tolist() == [True, False] and found.reason == "b" and found.without == pytest.approx(1 / 3)
    assert found.width.tolist() == [1, 1]
