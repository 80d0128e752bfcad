"""Several tests at once: Holm's correction, the level of each test in it, and how many instances a test of that level needs."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float
from scipy.special import ndtri, stdtrit

from .sign_flips import ALPHA
from .units import Moments

POWER = 0.8


def holm(p: Float[np.ndarray, " tests"]) -> Float[np.ndarray, " tests"]:
    """Holm's step-down correction (Holm 1979): the k-th smallest of m p-values times m - k + 1, never less than the one before.

    Args:
        p: P-values; NaN stay and do not count.

    >>> holm(np.array([0.01, 0.04, 0.03])).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    corrected = np.full_like(p, np.nan)
    live = np.flatnonzero(~np.isnan(p))
    smallest_first = live[np.argsort(p[live], kind="stable")]
    steps = p[smallest_first] * np.arange(len(smallest_first), 0, -1)
    corrected[smallest_first] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected


def holm_levels(p: Float[np.ndarray, " tests"]) -> Float[np.ndarray, " tests"]:
    """The level at which Holm's procedure tests each p-value: alpha / (m - k + 1) for the k-th smallest of m.

    The procedure stops at the first that is not rejected: all others are compared with the level of that one.

    Args:
        p: P-values; NaN stay and do not count.

    >>> holm_levels(np.array([0.01, 0.04, 0.03])).round(4).tolist()
    [0.0167, 0.025, 0.025]
    """
    levels = np.full_like(p, np.nan)
    live = np.flatnonzero(~np.isnan(p))
    smallest_first = live[np.argsort(p[live], kind="stable")]
    steps = ALPHA / np.arange(len(live), 0, -1)
    rejected = int((holm(p) < ALPHA).sum())
    levels[smallest_first] = np.minimum(steps, steps[min(rejected, len(live) - 1)]) if len(live) else steps
    return levels


def units_needed(
    known: Moments,
    count: int,
    level: Float[np.ndarray, " tests"],
    separated: np.ndarray,
    of_seeds: float | Float[np.ndarray, " tests"] = 0.0,
) -> Float[np.ndarray, " tests"]:
    """Sampling units in all after which a paired test of each level finds these differences with power 0.8.

    n s2 / ((mean / (z_(1 - level / 2) + z_0.8))^2 - v) of n units, the normal approximation, where s2 is the variance of the mean
    over units, which falls with their number, and v what seeds add, which does not. Where v > 0, the first z is Student's, with
    the degrees of freedom of the whole variance. Never less than n + 1, since n did not do, nor than the units whose 2^(n - 1)
    patterns of signs can be significant at all. Infinite without a difference, and where the seeds alone are too unsure.

    Args:
        known: Differences of means and their variance, from `count` units.
        count: Units.
        level: Of each test.
        separated: Pairs that are separated, which need no more: NaN.
        of_seeds: The part of the variance that seeds add.

    >>> known = Moments(*(np.array([x]) for x in (0.5, 1 / 12, 0.0, 3.0)))
    >>> units_needed(known, 4, np.array([0.05]), np.array([False])).tolist()
    [11.0]
    >>> units_needed(known, 4, np.array([0.05]), np.array([False]), np.array([0.05])).tolist()
    [inf]
    """
    quantile = np.where(np.asarray(of_seeds) > 0, stdtrit(known.freedom, 1 - level / 2), ndtri(1 - level / 2))
    room = (known.mean / (quantile + ndtri(POWER))) ** 2 - of_seeds
    ratio = np.divide(known.variance - of_seeds, room, out=np.full_like(known.mean, np.inf), where=room > 0)
    least = np.maximum(count + 1, 1 - np.log2(level))
    return np.where(separated | np.isnan(level), np.nan, np.ceil(np.maximum(count * ratio, least)))
