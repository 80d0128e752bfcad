"""Seeds as a second level of sampling: what another training, or another draw, adds to the variance of a mean."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from .units import ROUNDING, SeedVariance, Units, moments, sampling_units


def with_seeds(
    units: Units,
    by_seed: Mapping[int, Float[np.ndarray, "seeds instances"]],
    conditions: np.ndarray,
    clusters: np.ndarray | None = None,
) -> Units:
    """The units with what seeds add to the variance of each row's mean.

    Args:
        units: Of means over seeds.
        by_seed: Of each row with several seeds, by its index, the values of each seed, NaN where undefined. A seed that has none
            does not count.
        conditions: Of the instances.
        clusters: Of the instances, as `sampling_units` takes them.
    """
    with_scores = {row: of_row[~np.isnan(of_row).all(1)] for row, of_row in by_seed.items()}
    several = {row: of_row for row, of_row in with_scores.items() if len(of_row) > 1}
    if not several:
        return units
    (variance, square), least = np.zeros((2, len(units.sums))), np.full(len(units.sums), np.inf)
    for row, of_row in several.items():
        variance[row], square[row] = seed_variance(of_row, conditions, clusters)
        least[row] = len(of_row) - 1
    return units._replace(seeds=SeedVariance(variance, square, least))


def seed_variance(
    by_seed: Float[np.ndarray, "seeds instances"], conditions: np.ndarray, clusters: np.ndarray | None = None
) -> tuple[float, float]:
    """What S seeds add to the variance of a mean over n instances, and the `square` of `SeedVariance`.

    Seeds and instances are crossed random effects, y_si = m + a_s + b_i + c_si: the mean over both has the variance var(a) / S +
    var(b) / n + var(c) / (S n). The means over seeds, one an instance, estimate (var(b) + var(c) / S) / n by their variance: the
    last term is in it already. The means over instances, one a seed, estimate A = var(a) / S + var(c) / (S n) by their variance
    divided by S, and the interaction of seeds and instances estimates C = var(c) / (S n). Seeds add A - C, or 0 where this is
    negative; A has S - 1 degrees of freedom, C has S - 1 times those of the instances. Conditions are fixed: where a seed is
    better in one of them, this is a part of a_s. Source: Brennan 2001, Generalizability Theory (the mean of a crossed design);
    Satterthwaite 1946, "An approximate distribution of estimates of variance components".

    Instances without a score of some seed do not count here. Where fewer than two units are left, A is computed from each seed's
    own instances, without C.

    Args:
        by_seed: Values of each seed, NaN where undefined; two seeds or more, each with a value.
        conditions: Of the instances.
        clusters: Of the instances, as `sampling_units` takes them.

    Returns:
        The added variance, and A^2 / (S - 1) + C^2 / ((S - 1) degrees of the instances).

    >>> y = np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 3.0]])  # means 2 and 3: A = 1 / 4; residuals +-(0, .5, -.5): C = 1 / 12
    >>> [number.round(4).item() for number in map(np.float64, seed_variance(y, np.full(3, "x")))]
    [0.1667, 0.066]
    """
    count, shared = len(by_seed), ~np.isnan(by_seed).any(0)
    units = sampling_units(by_seed[:, shared], conditions[shared], None if clusters is None else clusters[shared])
    crossed = units.sums.shape[1] > 1
    means = units.sums.sum(1) / units.sizes.sum() if crossed else np.nanmean(by_seed, 1)
    between = means.var(ddof=1) / count
    if between <= (ROUNDING * np.nanmax(np.abs(by_seed))) ** 2:
        return 0.0, 0.0
    square = between**2 / (count - 1)
    if not crossed:
        return float(between), float(square)
    own = moments(units._replace(sums=units.sums - units.sums.mean(0)))
    interaction = own.variance.sum() / (count * (count - 1))
    degrees = (count - 1) * np.where(np.isfinite(own.freedom), own.freedom, 1).min()
    return float(max(between - interaction, 0)), float(square + interaction**2 / degrees)
