"""A paired test of every pair of methods: sign flips of the differences, studentised within strata.

Under the hypothesis that the difference of each unit is as likely to have one sign as the other, every pattern of signs is as
likely as the observed one (Fisher 1935). Extreme is a large T = sum G / sqrt(sum_h U_h / (U_h - 1) (Q_h - A_h^2 / U_h)), with G
the difference of a unit, A_h and Q_h the sums of G and G^2 in stratum h, and U_h its units (Janssen 1997, "Studentized
permutation tests"): where strata differ, their means are no noise.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from .units import ROUNDING, SeedVariance, Units

ALPHA = 0.05
LEAST_FLIPS = 9_999
ENOUGH = 400
"""Flips as extreme as the observed signs after which a pair needs no more: its p-value is known to 5 %."""
CHUNK = 8192
"""Flips at once, unless there are very many methods: the sums of two methods stay in the processor's cache."""
MOST_SUMS = 2**23
"""Flipped sums of all methods at once, which take 64 MiB."""
FLOOR = 1e-6
"""Share of the sum of squares that is added to the variance, so that patterns without any variance are ordered by their sum."""
SLACK = 1e-9
"""Flips that are less extreme by this share are as extreme: the same sum in another order of additions."""


def flips_for(pairs: int) -> int:
    """How many flips so many pairs need, so that the smallest level of Holm's correction is ten flips or more.

    >>> flips_for(1), flips_for(4950)
    (9999, 990000)
    """
    return max(LEAST_FLIPS, ceil(10 * pairs / ALPHA))


def sign_flips(units: Units, pairs: Int[np.ndarray, "pairs 2"], seed: int = 0) -> Float[np.ndarray, " pairs"]:
    """Two-sided p-value of each pair, by as many flips as the number of pairs needs.

    All patterns of signs are taken where these are no more than the flips: p is then exact. Else p = (1 + extreme) / (1 + flips),
    since the observed signs are one pattern; a pair with 400 extreme flips has no more of them (Besag and Clifford 1991), and one
    whose p-value is certain to be below 1 / flips has none: its p is the upper bound (`_upper_bounds`).

    Args:
        units: Scores, one row a method; two units or more in each stratum.
        pairs: Rows that are compared.
        seed: Of the flips, which all pairs share.

    Returns:
        P-values in (0, 1]; NaN for fewer than two units.

    >>> three = Units(np.array([[1.0, 2.0, 4.0], [0.0, 0.0, 0.0]]), np.ones(3), np.zeros(3, int))
    >>> sign_flips(three, np.array([[0, 1]])).tolist()  # of the 8 patterns +++ and ---
    [0.25]
    """
    count, flips = units.sums.shape[1], flips_for(len(pairs))
    if count < 2 or not len(pairs):
        return np.full(len(pairs), np.nan)
    observed = _observe(units, pairs)
    p = _upper_bounds(observed)
    extreme, drawn = np.zeros(len(pairs), int), np.zeros(len(pairs), int)
    unsettled = np.flatnonzero(observed.moved & (p > 1 / flips))
    exact = count <= 60 and 2 ** (count - 1) <= flips
    room = MOST_SUMS // (len(units.sums) * (observed.form.shape[1] + 1))
    chunk = min(CHUNK, max(64, room - room % 8))
    for signs in _all_signs(count, chunk) if exact else _random_signs(count, flips, chunk, seed):
        if not len(unsettled):
            break
        _count_extreme(_flipped_sums(units, signs), pairs, observed, unsettled, extreme)
        drawn[unsettled] += signs.shape[1]
        if not exact:
            unsettled = unsettled[(extreme[unsettled] < ENOUGH) | (drawn[unsettled] < LEAST_FLIPS)]
    tested = drawn > 0
    p[tested] = ((extreme + (not exact)) / np.maximum(drawn + (not exact), 1))[tested]
    return p


class _Observed(NamedTuple):
    """What flips are compared with.

    A flip is extreme if inverse * S^2 + sum_h A_h^2 / (U_h - 1) >= least, with S the sum of A_h; this solves T^2 for what flips
    change.

    Attributes:
        moved: Whether the methods of a pair have any difference in sum.
        inverse: 1 / T^2.
        least: Sum of U_h / (U_h - 1) Q_h, less the slack.
        form: Eigenvalues of the left side as a quadratic form in the signs.
    """

    moved: np.ndarray
    inverse: Float[np.ndarray, " pairs"]
    least: Float[np.ndarray, " pairs"]
    form: Float[np.ndarray, "pairs strata"]


def pair_gaps(units: Units, pairs: Int[np.ndarray, "pairs 2"]) -> Units:
    """The first row of each pair less the second; what is rounding only is 0. What seeds add to the variance of both adds up.

    Args:
        units: Scores, one row a method.
        pairs: Rows.
    """
    gaps = units.sums[pairs[:, 0]] - units.sums[pairs[:, 1]]
    gaps[np.abs(gaps) <= ROUNDING * np.abs(units.sums).max(initial=0)] = 0
    two = pairs[:, 0] != pairs[:, 1]  # a row is no surer or less sure than itself
    seeds = None if units.seeds is None else SeedVariance._make(two * of[pairs].sum(1) for of in units.seeds)
    return units._replace(sums=gaps, seeds=seeds)


def _observe(units: Units, pairs: Int[np.ndarray, "pairs 2"]) -> _Observed:
    gaps = pair_gaps(units, pairs).sums
    sizes = np.bincount(units.strata)
    member = np.eye(len(sizes))[units.strata]
    sums, squares = gaps @ member, gaps**2 @ member
    deviations = (gaps - (sums / sizes)[:, units.strata]) ** 2 @ member
    whole = (squares * sizes / (sizes - 1)).sum(1)
    variance = (deviations * sizes / (sizes - 1)).sum(1) + FLOOR * whole
    total = sums.sum(1)
    moved = np.abs(total) > ROUNDING * np.abs(gaps).sum(1)
    inverse = np.divide(variance, total**2, out=np.zeros_like(total), where=moved)
    roots = np.sqrt(squares)
    form = inverse[:, None, None] * roots[:, :, None] * roots[:, None] + (squares / (sizes - 1))[:, None] * np.eye(len(sizes))
    slack = SLACK + ROUNDING * np.sqrt(np.divide((units.sums**2).sum(1).max(), whole, out=np.zeros_like(whole), where=moved))
    return _Observed(moved, inverse, whole * (1 + FLOOR) * (1 - slack), np.linalg.eigvalsh(form))


def _upper_bounds(observed: _Observed) -> Float[np.ndarray, " pairs"]:
    """What the p-value cannot exceed, by Chernoff's bound: exp(-x least) E exp(x form) for any x.

    For x below 1 / (2 largest eigenvalue), signs have a smaller expectation of exp(x form) than normal variables of the same
    variance, whose expectation is prod (1 - 2 x eigenvalue)^(-1/2).
    """
    largest = np.where(observed.moved, observed.form[:, -1], 1)[:, None]
    steps = 1 - np.geomspace(1e-3, 1, 40)
    shares = np.where(observed.moved[:, None], observed.form / largest, 0)
    spread = np.log1p(-steps * shares[:, :, None]).sum(1)
    return np.where(observed.moved, np.exp(-(steps * (observed.least[:, None] / largest) + spread) / 2).min(1), 1)


def _all_signs(count: int, chunk: int) -> Iterator[Float[np.ndarray, "units flips"]]:
    """Every pattern but for a flip of all signs at once, which is as extreme."""
    for start in range(0, 2 ** (count - 1), chunk):
        pattern = np.arange(start, min(start + chunk, 2 ** (count - 1)))
        yield 1.0 - 2.0 * (pattern >> np.arange(count)[:, None] & 1)


def _random_signs(count: int, flips: int, chunk: int, seed: int) -> Iterator[Float[np.ndarray, "units flips"]]:
    rng = np.random.default_rng(seed)
    for start in range(0, flips, chunk):
        bits = np.frombuffer(rng.bytes(count * chunk // 8), np.uint8)
        yield 1.0 - 2.0 * np.unpackbits(bits).reshape(count, chunk)[:, : flips - start]


def _flipped_sums(units: Units, signs: Float[np.ndarray, "units flips"]) -> Float[np.ndarray, "methods sums flips"]:
    """A_h / sqrt(U_h - 1) of each stratum, then S, of every method."""
    sizes = np.bincount(units.strata)
    sums = np.empty((len(units.sums), len(sizes) + 1, signs.shape[1]))
    sums[:, -1] = 0
    values = units.sums - units.sums.mean(0)  # less what all share, numbers round less
    for stratum, size in enumerate(sizes):
        inside = units.strata == stratum
        of_stratum = values[:, inside] @ signs[inside]
        sums[:, -1] += of_stratum
        np.multiply(of_stratum, (size - 1) ** -0.5, out=sums[:, stratum])
    return sums


def _count_extreme(
    sums: Float[np.ndarray, "methods sums flips"],
    pairs: Int[np.ndarray, "pairs 2"],
    observed: _Observed,
    chosen: Int[np.ndarray, " chosen"],
    extreme: Int[np.ndarray, " pairs"],
) -> None:
    """Adds the extreme flips of some pairs to the counts."""
    # The part of the strata is at most the square of the sum of both methods' largest: most flips are excluded by S alone.
    reach = np.sqrt((sums[:, :-1] ** 2).sum(1).max(1))
    least_square = (observed.least - (reach[pairs] @ (1, 1)) ** 2) / np.where(observed.moved, observed.inverse, 1)
    square, weights = np.empty(sums.shape[2]), np.ones(sums.shape[1])
    # Pair by pair in one buffer, which stays in the processor's cache: arrays of all pairs at once take twice as long.
    for index in chosen.tolist():
        one, other = (sums[row] for row in pairs[index])
        np.subtract(one[-1], other[-1], out=square)
        np.multiply(square, square, out=square)
        able = np.flatnonzero(square >= least_square[index]) if least_square[index] > 0 else slice(None)
        weights[-1] = observed.inverse[index]
        extreme[index] += np.count_nonzero(weights @ (one[:, able] - other[:, able]) ** 2 >= observed.least[index])
