"""The simulation finds what is true, and what the page says of it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from flowgauge.metrics.statistics.calibration import Calibration, calibrate, coverages

PAGE = Path(__file__).resolve().parents[3] / "docs" / "intervals.md"


@pytest.fixture(scope="module")
def small() -> dict[tuple[str, str], Calibration]:
    return {(found.what, found.setting): found for found in calibrate(64, 4, 4, samples=160)}


def test_intervals_cover_and_tests_keep_their_level(small: dict[tuple[str, str], Calibration]) -> None:
    for (what, setting), found in small.items():
        if what == "coverage" and setting != "0 or 1, p = 1":
            assert found.actual == pytest.approx(0.95, abs=0.02 + 3 * found.error), setting
        if what == "level" and "skewed" not in setting:
            assert found.actual <= 0.06 + 3 * found.error, setting
    assert small["separated", "4 methods, 5 standard deviations apart"].actual == 1
    assert small["coverage", "exponential"].without == 0
    assert small["power", "0.5 standard deviations"].actual > 0.8 > small["power", "0.2 standard deviations"].actual


@pytest.mark.parametrize(("instances", "column"), [(16, 2), (64, 3)])
def test_the_page_has_what_the_command_prints(instances: int, column: int) -> None:
    text = PAGE.read_text(encoding="utf-8")
    for found in coverages(instances, 1):
        row = re.search(rf"^\| {re.escape(found.setting)} \|.*$", text, re.M)
        assert row is not None, found.setting
        assert float(row.group().split("|")[column].split(",")[-1]) == pytest.approx(found.actual, abs=0.0011), found.setting


def test_a_seed_repeats_and_one_instance_has_no_interval() -> None:
    first, again = (list(calibrate(1, 1, 2, seed=3, samples=8)) for _ in range(2))
    assert str(first) == str(again)
    assert all(found.without == 1 and np.isnan(found.actual) for found in first if found.what == "coverage")
