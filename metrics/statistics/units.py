"""What is drawn independently in a sample: instances or whole clusters of them, in strata."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.special import stdtrit

ROUNDING = 1e-12
"""Differences of this size, relative to the largest number, are rounding and no spread."""


class SeedVariance(NamedTuple):
    """What seeds add to the variance of each row's mean, where the scores of a row are averaged over several (`seeds`).

    Attributes:
        variance: Of the mean, beside that over units; 0 for one seed.
        square: The sum of (mean square)^2 / (its degrees of freedom) over the mean squares that the variance is computed from.
        least: The fewest degrees of freedom of the whole: one less than the seeds; infinite for one seed.
    """

    variance: Float[np.ndarray, " rows"]
    square: Float[np.ndarray, " rows"]
    least: Float[np.ndarray, " rows"]


class Units(NamedTuple):
    """Sums over sampling units.

    Attributes:
        sums: Of the scores of each row over the instances of each unit.
        sizes: How many instances each unit has; 1 where the unit is an instance.
        strata: The stratum of each unit, as a number; every stratum has two units or more where there are two in all.
        seeds: What seeds add; None where no row has several.
    """

    sums: Float[np.ndarray, "rows units"]
    sizes: Float[np.ndarray, " units"]
    strata: Int[np.ndarray, " units"]
    seeds: SeedVariance | None = None


class Moments(NamedTuple):
    """A mean of each row with what is known of its sampling distribution.

    Attributes:
        mean: Over all instances.
        variance: Of the mean, from the deviations within each stratum (n - 1), with what seeds add; 0 where all is rounding.
        skewness: Of the mean (standardised third cumulant); strata of two units count as symmetric, and so do seeds, with
            which it is scaled by the ratio of Student's quantiles.
        freedom: Degrees of freedom of the variance (Satterthwaite 1946, with the correction of Welch 1947 for small strata).
    """

    mean: Float[np.ndarray, " rows"]
    variance: Float[np.ndarray, " rows"]
    skewness: Float[np.ndarray, " rows"]
    freedom: Float[np.ndarray, " rows"]


def unit_of(clusters: np.ndarray) -> Int[np.ndarray, " instances"]:
    """The unit of each instance, as a number: its cluster, or itself where its cluster is empty.

    >>> unit_of(np.array(["p", "", "p", ""])).tolist()
    [2, 0, 2, 1]
    """
    alone = np.char.add("\0", np.arange(len(clusters)).astype(str))  # a name that no cluster has
    return np.unique(np.where(clusters == "", alone, clusters), return_inverse=True)[1]


def clusters_of(clusters: np.ndarray) -> int | None:
    """How many clusters instances are in, one that is in none as a cluster of its own; None where every one is by itself.

    Args:
        clusters: The cluster of each instance, empty where it is in none.

    >>> clusters_of(np.array(["p", "", "p"])), clusters_of(np.array(["p", "", "q"]))
    (2, None)
    """
    count = len(np.unique(unit_of(clusters)))
    return count if count < len(clusters) else None


def sampling_units(
    values: Float[np.ndarray, "rows instances"],
    conditions: np.ndarray,
    clusters: np.ndarray | None = None,
    least: int = 2,
) -> Units:
    """Sums of scores over the units that were drawn independently.

    Conditions are the strata. Where instances are in clusters, these are the units; they are stratified if each of them lies in
    one condition.

    Args:
        values: Scores without NaN.
        conditions: The condition of each instance.
        clusters: The cluster of each instance; empty: it is a unit by itself. None: so are all.
        least: Units that a stratum needs, as for `strata_of`.
    """
    if clusters is None or not (clusters != "").any():
        return Units(values, np.ones(values.shape[1]), strata_of(conditions, least))
    unit = unit_of(clusters)
    order, sizes = np.argsort(unit, kind="stable"), np.bincount(unit)
    starts = np.cumsum(sizes) - sizes
    condition = conditions[order[starts]]
    within = (condition[unit] == conditions).all()
    strata = strata_of(condition if within else np.zeros(len(sizes)), least)
    return Units(np.add.reduceat(values[:, order], starts, axis=1), sizes.astype(float), strata)


def strata_of(conditions: np.ndarray, least: int = 2) -> Int[np.ndarray, " units"]:
    """The stratum of each unit, as a number: its condition, or the stratum of all conditions with fewer than `least` units.

    If these have fewer together, they join the smallest of the rest.

    Args:
        conditions: The condition of each unit.
        least: Units that a stratum needs: 2 for a variance within it, more for statistics that are not sums.

    >>> strata_of(np.array(["SS", "SP", "SS", "PP"])).tolist()
    [1, 0, 1, 0]
    >>> strata_of(np.array(["SS", "SP", "SS"])).tolist()
    [0, 0, 0]
    """
    _, condition, count = np.unique(conditions.astype(str), return_inverse=True, return_counts=True)
    small = count < least
    stratum_of = np.where(small, -1, np.arange(len(count)))
    if 0 < count[small].sum() < least and not small.all():
        stratum_of[small] = np.where(small, count.max() + 1, count).argmin()
    return np.unique(stratum_of[condition], return_inverse=True)[1]


def moments(units: Units) -> Moments:
    """Means over instances with variance, skewness and degrees of freedom, each stratum by itself.

    With e the sum of a unit less the overall mean times its size, and d its deviation from the mean of its stratum h of U units:
    variance = sum_h U / (U - 1) sum d^2 / n^2 and third cumulant = sum_h U^2 / ((U - 1) (U - 2)) sum d^3 / n^3, over n instances.
    Source: Cochran 1977, sections 5.4 and 6.3 (the combined ratio estimator, where units are clusters). What seeds add counts as
    symmetric; degrees of freedom of the whole are variance^2 / sum (part^2 / its own) (Satterthwaite 1946).

    Args:
        units: Two or more, with two or more in every stratum.
    """
    count = units.sizes.sum()
    mean = units.sums.sum(1) / count
    rest = units.sums - mean[:, None] * units.sizes
    square, cube, fourth = (np.zeros(len(mean)) for _ in range(3))
    sizes = np.bincount(units.strata)
    for stratum, size in enumerate(sizes.tolist()):
        of_stratum = rest[:, units.strata == stratum]
        deviations = of_stratum - of_stratum.mean(1, keepdims=True)
        part = size / (size - 1) * (deviations**2).sum(1) / count**2
        square, fourth = square + part, fourth + part**2 / (size + 1)
        if size > 2:
            cube += size**2 / ((size - 1) * (size - 2)) * (deviations**3).sum(1) / count**3
    square = np.where(square > (ROUNDING * np.abs(units.sums).max(1, initial=0)) ** 2, square, 0)
    # An estimate of it may leave the range of what it can be.
    freedom = np.clip(square**2 / np.where(square > 0, fourth, 1) - 2, sizes.min() - 1, (sizes - 1).sum())
    freedom = np.where(square > 0, freedom, np.inf)
    if units.seeds is None:
        return Moments(mean, square, cube / np.where(square > 0, square, 1) ** 1.5, freedom)
    variance, several = square + units.seeds.variance, units.seeds.square > 0
    parts = square**2 / freedom + units.seeds.square
    estimate = np.divide(variance**2, parts, out=np.ones_like(parts), where=several)
    whole = np.where(several, np.maximum(estimate, units.seeds.least), freedom)
    # Hall's correction for skewness is for errors of a few standard errors: few degrees of freedom must not lead it beyond these.
    farther = stdtrit(whole, 0.975) / stdtrit(freedom, 0.975)
    return Moments(mean, variance, cube / np.where(variance > 0, variance, 1) ** 1.5 / farther, whole)
