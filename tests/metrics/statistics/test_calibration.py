"""The simulation finds what is true, and what the page says of it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

from flowgauge.metrics.statistics.calibration import Calibration, calibrate

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


def test_the_page_has_what_a_simulation_finds(small: dict[tuple[str, str], Calibration]) -> None:
    rows = {"exponential": "exponential", "lognormal": "lognormal", "0 or 1, p = .9": "0 or 1, p = 0.9"}
    text = PAGE.read_text(encoding="utf-8")
    for title, setting in rows.items():
        row = re.search(rf"^\| {re.escape(title)} \|.*$", text, re.M)
        assert row is not None
        found, written = small["coverage", setting], float(row.group().split("|")[3].split(",")[1])
        assert written == pytest.approx(found.actual, abs=3 * np.hypot(found.error, 0.005))


def test_a_seed_repeats_and_one_instance_has_no_interval() -> None:
    first, again = (list(calibrate(1, 1, 2, seed=3, samples=8)) for _ in range(2))
    assert str(first) == str(again)
    assert all(found.without == 1 and np.isnan(found.actual) for found in first if found.what == "coverage")
