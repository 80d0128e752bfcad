"""Resampling of instances for sums of many features at once: a resample needs its sums only, so one matrix product serves all."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int

RESAMPLES = 20_000
CHUNK = 2**22
"""Most resampled indices in memory at once."""


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
