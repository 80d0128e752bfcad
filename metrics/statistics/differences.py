"""Differences of every two methods on the same units: tests, corrected over all pairs, and intervals that agree with them."""

from __future__ import annotations

from itertools import combinations
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from .intervals import t_intervals, t_tests
from .multiplicity import holm, holm_levels, units_needed
from .sign_flips import ALPHA, pair_gaps, sign_flips
from .units import Units, moments


class PairedDifferences(NamedTuple):
    """One entry a pair of rows.

    Attributes:
        first, second: The rows.
        mean: Of the first less that of the second, over all instances.
        low, high: 95 % interval, of this pair alone; NaN where no unit differs from another.
        low_corrected, high_corrected: Interval of the level at which the pair is tested, so that all pairs are corrected for. It
            holds 0 if and only if the pair is not separated.
        level: Holm's level of the pair.
        p: Of the sign flips; where seeds add to the variance, of Student's t of the whole variance if that is larger.
        p_holm: Corrected over all pairs.
        needed: Units in all that would separate the pair with power 0.8; NaN where it is separated, infinite where more seeds are
            needed.
    """

    first: Int[np.ndarray, " pairs"]
    second: Int[np.ndarray, " pairs"]
    mean: Float[np.ndarray, " pairs"]
    low: Float[np.ndarray, " pairs"]
    high: Float[np.ndarray, " pairs"]
    low_corrected: Float[np.ndarray, " pairs"]
    high_corrected: Float[np.ndarray, " pairs"]
    level: Float[np.ndarray, " pairs"]
    p: Float[np.ndarray, " pairs"]
    p_holm: Float[np.ndarray, " pairs"]
    needed: Float[np.ndarray, " pairs"]

    @property
    def separated(self) -> Bool[np.ndarray, " pairs"]:
        """Whether the corrected p-value is below 0.05."""
        return self.p_holm < ALPHA


def paired_differences(units: Units, seed: int = 0) -> PairedDifferences:
    """Every pair of rows, in the order of `itertools.combinations`.

    Sign flips say how sure a difference is for the seeds at hand. Where a row is a mean over seeds that differ, the difference
    has to be larger than what other seeds change, too.

    Args:
        units: Scores, one row a method. All but the means is NaN for fewer than two units.
        seed: Of the flips of signs.
    """
    pairs = np.array(list(combinations(range(len(units.sums)), 2)), int).reshape(-1, 2)
    gaps, count = pair_gaps(units, pairs), units.sums.shape[1]
    mean, none = gaps.sums.sum(1) / units.sizes.sum(), np.full(len(pairs), np.nan)
    if count < 2:
        return PairedDifferences._make((*pairs.T, mean, *(none,) * 8))
    known, p = moments(gaps), sign_flips(units, pairs, seed)
    added = np.zeros(len(pairs)) if gaps.seeds is None else gaps.seeds.variance
    p = np.where(added > 0, np.fmax(p, t_tests(known)), p)
    level, p_holm = holm_levels(p), holm(p)
    separated = p_holm < ALPHA
    low, high = t_intervals(known, 1 - level)
    # Tests and intervals rest on different approximations; where they disagree, the test decides.
    low = np.where(separated & (mean > 0), np.maximum(low, 0), np.where(separated, low, np.minimum(low, 0)))
    high = np.where(separated & (mean < 0), np.minimum(high, 0), np.where(separated, high, np.maximum(high, 0)))
    needed = units_needed(known, count, level, separated, added)
    return PairedDifferences._make((*pairs.T, mean, *t_intervals(known), low, high, level, p, p_holm, needed))
