"""Intervals of means and of smooth statistics of sums, in closed form.

No resampling: an interval does not depend on a seed, on the order of the instances or on the other rows. How far each may be
trusted is measured by `metrics/calibration` (docs/adr/0005-intervals.md).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.special import ndtri, stdtr, stdtrit

from .seeds import with_seeds
from .units import Moments, Units, moments, sampling_units

INTERVALS = 2
"""The version of these intervals, which records store beside them; raised by any change that moves an end."""
BOOTSTRAPPED = 1
"""What records of version 0.1 have instead."""
LEVEL = 0.95
Bounds = tuple[float | None, float | None]
"""Smallest and largest possible value of a score; None where there is none."""
Sums = Float[np.ndarray, "*some features"]
Statistic = Callable[[Sums], Float[np.ndarray, "*some statistics"]]


class Estimates(NamedTuple):
    """Estimates with their intervals, NaN where there is none.

    Attributes:
        value: The estimates.
        low, high: Ends of the intervals.
        bias: How far the estimates lie from the truth on average, by the jackknife; the intervals are corrected for it.
    """

    value: Float[np.ndarray, " statistics"]
    low: Float[np.ndarray, " statistics"]
    high: Float[np.ndarray, " statistics"]
    bias: Float[np.ndarray, " statistics"]


def mean_intervals(
    values: Float[np.ndarray, "rows instances"],
    conditions: np.ndarray,
    clusters: np.ndarray | None = None,
    bounds: Bounds = (None, None),
    level: float = LEVEL,
    by_seed: Mapping[int, Float[np.ndarray, "seeds instances"]] = MappingProxyType({}),
) -> Float[np.ndarray, "rows 3"]:
    """Mean of each row over the instances that it has a value of, with its interval, each condition as a stratum.

    Every mean that is printed comes from here: one mean has one interval. Scores of 0 and 1 have Wilson's interval; others, and
    means over seeds that differ, have Student's t with Hall's correction for skewness. The interval is NaN for one instance, and
    where no instance differs from another.

    Args:
        values: NaN where undefined.
        conditions: The condition of each instance.
        clusters: The cluster of each instance, empty where it is in none; None: no clusters.
        bounds: Smallest and largest possible score, within which the ends lie; rows with another value have none.
            Equal scores of 0 or of 1 have an interval only if these are the bounds.
        level: Probability with which the interval covers the mean that many more such instances would have.
        by_seed: Of rows that are means over several seeds, the values of each seed, NaN where undefined: their intervals hold for
            other seeds, too.

    Returns:
        Mean, low and high of each row; NaN where a row has no value.
    """
    result = np.full((len(values), 3), np.nan)
    patterns, pattern_of = np.unique(~np.isnan(values), axis=0, return_inverse=True)
    for index, defined in enumerate(patterns):
        rows = np.flatnonzero(pattern_of.reshape(-1) == index)
        if defined.any():
            drawn = (conditions[defined], None if clusters is None else clusters[defined])
            of_rows = {place: by_seed[row][:, defined] for place, row in enumerate(rows.tolist()) if row in by_seed}
            units = with_seeds(sampling_units(values[rows][:, defined], *drawn), of_rows, *drawn)
            result[rows] = _mean_intervals(units, bounds, level)
    return result


def _mean_intervals(units: Units, bounds: Bounds, level: float) -> Float[np.ndarray, "rows 3"]:
    """Of rows that have a value of every instance."""
    mean = units.sums.sum(1) / units.sizes.sum()
    if units.sums.shape[1] < 2:
        return np.stack([mean, np.full_like(mean, np.nan), np.full_like(mean, np.nan)], 1)
    known = moments(units)
    low, high = t_intervals(known, level)
    if (units.sizes == 1).all():
        indicator = np.isin(units.sums, (0, 1)).all(1) & ((known.variance > 0) | (tuple(bounds) == (0, 1)))
        if units.seeds is not None:
            indicator &= units.seeds.square == 0
        shares = Moments(*(part[indicator] for part in known))
        low[indicator], high[indicator] = wilson_intervals(shares, units.sums.shape[1], int(units.strata.max()) + 1, level)
    least, most = (-np.inf if bounds[0] is None else bounds[0], np.inf if bounds[1] is None else bounds[1])
    bounded = np.stack([mean, low, high], 1)
    inside = np.all((units.sums >= least * units.sizes) & (units.sums <= most * units.sizes), axis=1)
    return np.where(inside[:, None], np.clip(bounded, least, most), bounded)


def t_intervals(
    known: Moments, level: float | Float[np.ndarray, " rows"] = LEVEL
) -> tuple[Float[np.ndarray, " rows"], Float[np.ndarray, " rows"]]:
    """Student's t interval of each mean, corrected for skewness; NaN where the variance is 0.

    With T the error in standard errors and k the skewness of the mean, T + k T^2 / 3 + k^2 T^3 / 27 + k / 6 is close to Student's
    t (Hall 1992, "On the removal of skewness by transformation", with t for the normal quantile); solved for T,
    T = 3 ((1 + k (t - k / 6))^(1/3) - 1) / k.

    Args:
        known: Mean, variance, skewness and degrees of freedom of each row.
        level: Of the interval.

    >>> from .units import Units
    >>> x = np.array([[1.0, 2.0, 3.0, 4.0, 5.0]])
    >>> [end.round(3).item() for end in t_intervals(moments(Units(x, np.ones(5), np.zeros(5, int))))]
    [1.037, 4.963]
    """
    t, skewness = stdtrit(known.freedom, (1 + np.asarray(level)) / 2), known.skewness
    symmetric = np.abs(skewness) < 1e-6
    scale = np.where(symmetric, 1, skewness)
    most, least = (np.where(symmetric, end, 3 * (np.cbrt(1 + scale * (end - scale / 6)) - 1) / scale) for end in (t, -t))
    error = np.sqrt(np.where(known.variance > 0, known.variance, np.nan))
    return known.mean - error * most, known.mean - error * least


def t_tests(known: Moments) -> Float[np.ndarray, " rows"]:
    """Two-sided p-value of each mean against 0: one less the level whose `t_intervals` ends at 0. NaN where the variance is 0.

    Args:
        known: Mean, variance, skewness and degrees of freedom of each row.

    >>> from .units import Units
    >>> known = moments(Units(np.array([[1.0, 2.0, 3.0, 4.0, 5.0]]), np.ones(5), np.zeros(5, int)))
    >>> low, high = t_intervals(known, 1 - t_tests(known))
    >>> t_tests(known).round(4).item(), bool(abs(low) < 1e-9)
    (0.0132, True)
    """
    errors = known.mean / np.sqrt(np.where(known.variance > 0, known.variance, np.nan))
    k = known.skewness
    t = errors + k * errors**2 / 3 + k**2 * errors**3 / 27 + k / 6
    p: np.ndarray = 2 * stdtr(known.freedom, -np.abs(t))
    return p


def wilson_intervals(
    known: Moments, count: int, strata: int = 1, level: float = LEVEL
) -> tuple[Float[np.ndarray, " rows"], Float[np.ndarray, " rows"]]:
    """Wilson's score interval of each share (Wilson 1927), on the number of instances that strata are worth.

    Strata that differ make a mean surer than as many instances drawn at random. Their gain is the ratio of the variances, which
    is shrunk towards 1 as if each stratum had one more instance of the whole (of n instances in S strata, the variance within
    strata counts n - S, that of the whole S), and is never a loss. Source: Kott and Carr 1997 (effective sample size).

    Args:
        known: Mean and variance of each row of zeros and ones.
        count: Instances.
        strata: How many.
        level: Of the interval.

    >>> from .units import Units
    >>> ones = np.ones((1, 16))
    >>> [end.round(3).item() for end in wilson_intervals(moments(Units(ones, np.ones(16), np.zeros(16, int))), 16)]
    [0.806, 1.0]
    """
    share, z2 = known.mean, ndtri((1 + level) / 2) ** 2
    whole = share * (1 - share) / (count - 1)
    within = np.divide(known.variance, whole, out=np.ones_like(share), where=whole > 0)
    worth = count / np.minimum(1, ((count - strata) * within + strata) / count)
    middle = share + z2 / (2 * worth)
    reach = np.sqrt(z2 * (share * (1 - share) / worth + z2 / (4 * worth**2)))
    return np.maximum((middle - reach) / (1 + z2 / worth), 0), np.minimum((middle + reach) / (1 + z2 / worth), 1)


def mean_of_sums(sums: Sums) -> Float[np.ndarray, "*some statistics"]:
    """Means from sums whose last column counts the instances.

    >>> mean_of_sums(np.array([6.0, 9.0, 3.0])).tolist()
    [2.0, 3.0]
    """
    means: np.ndarray = sums[..., :-1] / sums[..., -1:]
    return means


def jackknife_intervals(
    features: Float[np.ndarray, "units features"],
    strata: Int[np.ndarray, " units"],
    statistic: Statistic,
    level: float = LEVEL,
) -> Estimates:
    """Smooth statistics of sums with their bias and intervals, by the stratified jackknife.

    The statistic without unit i of stratum h, whose other units weigh U / (U - 1) instead, gives the pseudo-value
    theta + (n / U) (U - 1) (theta - theta_hi) (Tukey 1958; Jones 1974 for strata). The mean of the pseudo-values is the
    estimate less its bias, and its interval is that of a mean. For a mean of instances it is the same interval.

    Args:
        features: What is summed over units.
        strata: The stratum of each unit.
        statistic: Maps sums (..., features) to statistics (..., statistics).
        level: Of the intervals.

    Returns:
        Estimates, intervals and biases; the last two NaN for one unit, where the statistic without a unit is undefined, and
        where it does not differ.
    """
    count, total = len(features), features.sum(0)
    value = statistic(total)
    none = np.full_like(value, np.nan)
    if count < 2:
        return Estimates(value, none, none, none)
    size = np.bincount(strata).astype(float)[strata][:, None]
    of_stratum = np.stack([features[strata == stratum].sum(0) for stratum in range(strata.max() + 1)])[strata]
    without = statistic(total - of_stratum + (of_stratum - features) * size / (size - 1))
    pseudo = value + count / size * (size - 1) * (value - without)
    pseudo = np.where(np.isclose(pseudo, value, rtol=1e-9, atol=1e-15), value, pseudo)  # rounding is no spread
    known = moments(Units(pseudo.T, np.ones(count), strata))
    low, high = t_intervals(known, level)
    bias = value - known.mean
    return Estimates(value, low, high, np.where(np.abs(bias) > 1e-9 * np.abs(value), bias, 0.0))
