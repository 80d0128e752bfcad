"""The table of `flowgauge calibration`: what intervals and tests promise against what they do."""

from __future__ import annotations

from collections.abc import Iterator

from . import comparisons, coverage
from .coverage import Calibration, Sizes


def calibrate(sizes: Sizes, seed: int = 0) -> Iterator[Calibration]:
    """Simulates coverage of intervals, level and power of tests, false pairs, and how often ranks hold.

    Args:
        sizes: Instances, conditions, methods and samples.
        seed: Of every line, each by itself.

    Yields:
        One line a setting, as soon as it is known.
    """
    for setting in (*coverage.settings(), *comparisons.settings(sizes.methods)):
        yield setting.calibrate(sizes, seed)
