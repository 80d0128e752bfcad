"""Tests keep their level, corrections hold, and conditions that differ hide no difference."""

from __future__ import annotations

import pytest

from flowgauge.metrics.calibration.comparisons import settings
from flowgauge.metrics.calibration.coverage import Calibration, Sizes


@pytest.fixture(scope="module")
def small() -> dict[tuple[str, str], Calibration]:
    sizes = Sizes(64, methods=6, samples=400)
    quick = [s for s in settings(6) if s.what in ("level", "power", "separated") or "6 " in s.name]
    return {(s.what, s.name): s.calibrate(sizes, seed=2) for s in quick}


def test_levels_are_kept_for_symmetric_differences(small: dict[tuple[str, str], Calibration]) -> None:
    levels = {name: found for (what, name), found in small.items() if what == "level"}
    assert len(levels) == 5 and all(found.promised == 0.05 for found in levels.values())
    assert all(found.low <= 0.06 for name, found in levels.items() if "skewed" not in name)


def test_differences_are_found(small: dict[tuple[str, str], Calibration]) -> None:
    assert small["power", "0.2, opposite signs in 4 conditions"].actual > 0.7, "0.03 where conditions count as noise"
    assert small["power", "0.5 standard deviations"].actual > 0.8 > small["power", "0.2 standard deviations"].actual
    assert small["separated", "40 methods, 5 standard deviations apart"].actual == 1


def test_corrections_hold_over_all_pairs(small: dict[tuple[str, str], Calibration]) -> None:
    for name in ("6 equal methods", "8 equal methods over 6 tables"):
        assert small["false pair", name].low <= 0.05
    for name in ("each corrected interval, 6 methods", "all ranks at once, 6 methods"):
        assert small["coverage", name].high >= 0.93 and small["coverage", name].width > 0
