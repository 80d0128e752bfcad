"""The page has what the command finds."""

from __future__ import annotations

import math
import re
from pathlib import Path

import pytest
from tests.conftest import FULL_SIZE

from flowgauge.metrics.calibration import comparisons, coverage
from flowgauge.metrics.calibration.calibrate import calibrate
from flowgauge.metrics.calibration.coverage import Sizes

PAGE = Path(__file__).resolve().parents[3] / "docs" / "intervals.md"
QUICK = (*coverage.SCORES, *(f"conditions of {size} that differ" for size in (2, 3, 4)), "clusters of 4", "ratio of sums")


def printed(what: str, setting: str) -> dict[int, str]:
    """The cells of a line of the page, by the number of instances."""
    row = re.search(rf"^\| {re.escape(what)} \| {re.escape(setting)} \|.*$", PAGE.read_text(encoding="utf-8"), re.M)
    assert row is not None, (what, setting)
    return dict(zip((16, 64, 300), (cell.strip() for cell in row.group().split("|")[4:7]), strict=True))


@pytest.mark.parametrize("instances", [16, 64, 300])
def test_the_page_has_what_the_command_finds(instances: int) -> None:
    sizes = Sizes(instances)
    for setting in (*coverage.settings(), *comparisons.settings(sizes.methods)):
        cell = printed(setting.what, setting.name)[instances]
        if FULL_SIZE or setting.name in QUICK:
            found = setting.calibrate(sizes, 0)
            assert cell.startswith("none" if math.isnan(found.actual) else f"{found.actual:.3f}"[:4]), (setting.name, found)


def test_a_seed_repeats_and_one_instance_has_no_interval() -> None:
    first, again = (list(calibrate(Sizes(1, methods=2, samples=8), seed=3)) for _ in range(2))
    assert str(first) == str(again)
    means = [found for found in first if found.setting in coverage.SCORES]
    assert means and all(found.without == 1 and found.reason == "one instance" for found in means)
