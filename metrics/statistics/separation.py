"""What a metric tells apart: differences and paired tests of chosen rows, and the agreement of an order with a known one."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.stats import somersd

from .sign_flips import ALPHA, sign_flips
from .units import sampling_units


class Separation(NamedTuple):
    """One entry a pair of rows.

    Attributes:
        difference: Mean of the first row less that of the second.
        separated: Whether the paired test of these two alone calls them different (p < 0.05).
    """

    difference: Float[np.ndarray, " pairs"]
    separated: Bool[np.ndarray, " pairs"]


def separation(
    values: Float[np.ndarray, "rows instances"],
    pairs: Int[np.ndarray, "pairs 2"],
    conditions: np.ndarray,
    clusters: np.ndarray | None = None,
) -> Separation:
    """The test that compares methods (`sign_flips`), on each pair of rows as if it stood in a table of two.

    Args:
        values: Scores without NaN.
        pairs: Rows that are compared.
        conditions: The condition of each instance.
        clusters: The cluster of each instance, as `sampling_units` takes them.

    >>> rows = np.array([[1.0, 2, 3, 4, 5, 6, 7, 8], [0.0, 1, 2, 3, 4, 5, 6, 7], [0.0, 1, 2, 3, 4, 5, 6, 7]])
    >>> separation(rows, np.array([[0, 1], [1, 2]]), np.full(8, "")).separated.tolist()
    [True, False]
    """
    units = sampling_units(values, conditions, clusters)
    means = values.mean(1)
    return Separation(means[pairs[:, 0]] - means[pairs[:, 1]], sign_flips(units, pairs) < ALPHA)


def order_agreement(truth: Float[np.ndarray, " methods"], scores: Float[np.ndarray, " methods"]) -> float:
    """How far scores order methods as the truth does: Kendall's tau over the pairs that the truth orders.

    (concordant - discordant) / (pairs that the truth orders): a pair that the scores tie counts as neither, so that scores which
    tie everything have 0 rather than no value. Source: Somers 1962, "A new asymmetric measure of association for ordinal
    variables", D of the scores given the truth. In [-1, 1]; NaN where the truth ties everything.

    Args:
        truth: Larger is better.
        scores: Larger is better.

    >>> order_agreement(np.array([1.0, 2.0, 2.0, 3.0]), np.array([0.1, 0.1, 0.5, 0.7]))
    0.8
    """
    if len(np.unique(truth)) < 2:
        return float("nan")
    if len(np.unique(scores)) < 2:
        return 0.0  # scipy has no table to count for these
    return float(somersd(truth, scores).statistic)
