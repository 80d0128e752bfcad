"""Bootstrap intervals over instances, many statistics at once.

Every statistic here is a function of sums over instances, so a resample needs its sums only, and so does the jackknife: one
matrix product serves all variants of a metric. `scipy.stats.bootstrap`, which gathers every resample of every statistic, is the
oracle of the tests: for the same replicates both give the same BCa interval.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.special import ndtr, ndtri

RESAMPLES = 20_000
"""From seed to seed, an end of an interval of 64 scores in [0, 1] then moves by less than 0.001 (a test holds this)."""
TAILS = np.array([0.025, 0.975])
CHUNK = 2**22
"""Most resampled indices in memory at once."""

Sums = Float[np.ndarray, "*some features"]
Statistic = Callable[[Sums], Float[np.ndarray, "*some statistics"]]


class Interval(NamedTuple):
    """Estimates with their 95 % intervals."""

    value: Float[np.ndarray, " statistics"]
    low: Float[np.ndarray, " statistics"]
    high: Float[np.ndarray, " statistics"]


def mean_of_sums(sums: Sums) -> Float[np.ndarray, "*some statistics"]:
    """Means from sums whose last column counts the instances.

    >>> mean_of_sums(np.array([6.0, 9.0, 3.0])).tolist()
    [2.0, 3.0]
    """
    means: np.ndarray = sums[..., :-1] / sums[..., -1:]
    return means


def interval(
    features: Float[np.ndarray, "instances features"],
    groups: Int[np.ndarray, " instances"],
    statistic: Statistic,
    seed: int = 0,
    resamples: int = RESAMPLES,
    names: Sequence[str] | None = None,
) -> Interval:
    """The statistics of all instances with 95 % BCa intervals; each group is resampled by itself.

    BCa (Efron 1987) corrects bias and skew; where it is undefined (constant data, estimate outside all replicates) the percentile
    interval stands. With fewer than two instances the interval is NaN.

    Args:
        features: What is summed over instances.
        groups: The group (condition) of each instance, as a number.
        statistic: Maps sums (..., features) to statistics (..., statistics).
        seed: Of the resampling.
        resamples: How many are drawn.
        names: Id of each instance, by which they are sorted, so that their order moves no interval; None: they are sorted.

    Returns:
        The estimate of each statistic, and the ends of its interval.
    """
    if names is not None:
        order = np.argsort(names)
        features, groups = features[order], groups[order]
    value = statistic(features.sum(0))
    if len(features) < 2:
        return Interval(value, np.full_like(value, np.nan), np.full_like(value, np.nan))
    replicates = statistic(resampled_sums(features, groups, np.random.default_rng(seed), resamples))
    replicates = np.where(np.isclose(replicates, value, rtol=1e-12, atol=1e-15), value, replicates)  # rounding is no spread
    levels = bca_levels(value, replicates, statistic(features.sum(0) - features), groups)
    bounds = [np.quantile(replicates[:, n], levels[:, n]) for n in range(len(value))]
    low, high = np.array(bounds).reshape(-1, 2).T
    return Interval(value, low, high)


def resampled_sums(
    features: Float[np.ndarray, "instances features"],
    groups: Int[np.ndarray, " instances"],
    rng: np.random.Generator,
    resamples: int = RESAMPLES,
) -> Float[np.ndarray, "resamples features"]:
    """Sums over instances drawn with replacement, as many from each group as it has.

    Args:
        features: What is summed over instances.
        groups: The group of each instance.
        rng: Draws the instances.
        resamples: How many sums to draw.
    """
    total = np.zeros((resamples, features.shape[1]))
    for group in np.unique(groups):
        members = features[groups == group]
        n, step = len(members), max(1, CHUNK // len(members))
        for start in range(0, resamples, step):
            rows = min(step, resamples - start)
            drawn = rng.integers(0, n, (rows, n)) + n * np.arange(rows)[:, None]
            # How often each resample has drawn each member: the sums of a whole chunk are one matrix product.
            times = np.bincount(drawn.ravel(), minlength=rows * n).reshape(rows, n)
            total[start : start + rows] += times @ members
    return total


def bca_levels(
    value: Float[np.ndarray, " statistics"],
    replicates: Float[np.ndarray, "resamples statistics"],
    jackknife: Float[np.ndarray, "instances statistics"],
    groups: Int[np.ndarray, " instances"],
) -> Float[np.ndarray, "2 statistics"]:
    """Which quantiles of the replicates bound the interval: bias-corrected and accelerated, else 2.5 and 97.5 %.

    Args:
        value: The estimates.
        replicates: The statistics of every resample.
        jackknife: The statistics without each instance in turn.
        groups: The group of each instance.
    """
    cube, square = np.zeros_like(value), np.zeros_like(value)
    for group in np.unique(groups):  # each is a sample of its own, as in scipy.stats.bootstrap
        left_out = jackknife[groups == group]
        n = len(left_out)
        pull = (n - 1) / n * (left_out.mean(0) - left_out)
        cube, square = cube + (pull**3).sum(0), square + (pull**2).sum(0)
    with np.errstate(divide="ignore", invalid="ignore"):
        acceleration = cube / (6 * square**1.5)
        # Replicates equal to the estimate count half, as for a discrete distribution.
        bias = ndtri(((replicates < value).mean(0) + (replicates <= value).mean(0)) / 2)
        moved = bias + ndtri(TAILS)[:, None]
        levels = ndtr(bias + moved / (1 - acceleration * moved))
    holds = np.isfinite(levels).all(0) & (levels[0] < levels[1])
    bounds: np.ndarray = np.where(holds, levels, TAILS[:, None])
    return bounds


def condition_groups(conditions: np.ndarray) -> Int[np.ndarray, " instances"]:
    """The group of each instance, as a number: its condition, or the group of all conditions with one instance.

    Alone, such a condition could not vary. If there is only one of them, it joins the smallest of the rest.

    >>> condition_groups(np.array(["SS", "SP", "SS", "PP"])).tolist()
    [1, 0, 1, 0]
    >>> condition_groups(np.array(["SS", "SP", "SS"])).tolist()
    [0, 0, 0]
    """
    _, group, count = np.unique(conditions.astype(str), return_inverse=True, return_counts=True)
    alone = np.flatnonzero(count == 1)
    group_of = np.where(count > 1, np.arange(len(count)), -1)
    if len(alone) == 1 and len(count) > 1:
        group_of[alone] = np.where(count > 1, count, count.max() + 1).argmin()
    return np.unique(group_of[group], return_inverse=True)[1]
