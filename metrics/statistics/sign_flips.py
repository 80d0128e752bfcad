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
CHUNK = 10_000
"""Flips at once, unless there are very many methods: the sums of two methods stay in the processor's cache."""
MOST_NUMBERS = 2**23
"""Signs, or flipped sums of all methods, at once, which take 64 MiB."""
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
    by_stratum = np.argsort(units.strata, kind="stable")
    values = units.sums[:, by_stratum] - units.sums[:, by_stratum].mean(0)  # less what all share, numbers round less
    sizes = np.bincount(units.strata)
    chunk = min(CHUNK, max(64, MOST_NUMBERS // max(len(values) * (len(sizes) + 1), count)))
    for signs in _all_signs(count, chunk) if exact else _random_signs(count, flips, chunk, seed):
        if not len(unsettled):
            break
        methods, rows = np.unique(pairs[unsettled], return_inverse=True)
        flipped = _flip(values[methods], sizes, signs)
        extreme[unsettled] += _count_extreme(flipped, rows.reshape(-1, 2), observed.of(unsettled))
        drawn[unsettled] += signs.shape[1]
        if not exact:
            unsettled = unsettled[(extreme[unsettled] < ENOUGH) | (drawn[unsettled] < LEAST_FLIPS)]
    tested = drawn > 0
    p[tested] = ((extreme + (not exact)) / np.maximum(drawn + (not exact), 1))[tested]
    return p


class _Observed(NamedTuple):
    """What flips are compared with.

    A flip is extreme if S^2 / T^2 + sum_h A_h^2 / (U_h - 1) >= least, with S the sum of A_h; this solves T^2 for what flips
    change. The left side is scale * S^2 + sum_h (A_h / sqrt(U_h - 1) - S sqrt(U_h - 1) / sum (U_h - 1))^2.

    Attributes:
        moved: Whether the methods of a pair have any difference in sum.
        inverse: 1 / T^2.
        scale: 1 / T^2 + 1 / sum (U_h - 1).
        least: Sum of U_h / (U_h - 1) Q_h, less the slack.
        form: Eigenvalues of the left side as a quadratic form in the signs.
    """

    moved: np.ndarray
    inverse: Float[np.ndarray, " pairs"]
    scale: Float[np.ndarray, " pairs"]
    least: Float[np.ndarray, " pairs"]
    form: Float[np.ndarray, "pairs strata"]

    def of(self, pairs: Int[np.ndarray, " some"]) -> _Observed:
        """The same of some pairs."""
        return _Observed._make(column[pairs] for column in self)


def pair_gaps(units: Units, pairs: Int[np.ndarray, "pairs 2"]) -> Units:
    """The first row of each pair less the second; what is rounding only is 0. What seeds add to the variance of both adds up.

    Args:
        units: Scores, one row a method.
        pairs: Rows.
    """
    gaps = units.sums[pairs[:, 0]] - units.sums[pairs[:, 1]]
    gaps[np.abs(gaps) <= ROUNDING * np.abs(units.sums).max(initial=0)] = 0
    seeds = units.seeds
    if seeds is not None:
        two = pairs[:, 0] != pairs[:, 1]  # a row is no surer or less sure than itself
        variance, square = (two * of[pairs].sum(1) for of in (seeds.variance, seeds.square))
        seeds = SeedVariance(variance, square, seeds.least[pairs].min(1))
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
    return _Observed(moved, inverse, inverse + 1 / (sizes - 1).sum(), whole * (1 + FLOOR) * (1 - slack), np.linalg.eigvalsh(form))


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
    rng, width = np.random.default_rng(seed), -(-count // 8)
    for start in range(0, flips, chunk):
        drawn = rng.integers(0, 256, (min(chunk, flips - start), width), np.uint8)
        bits = np.unpackbits(drawn.T.copy(), axis=0, count=count).view(np.int8)
        yield (1 - 2 * bits).astype(float)


class _Flipped(NamedTuple):
    """Sums of every method under some flips.

    Attributes:
        total: S.
        parts: A_h / sqrt(U_h - 1).
        rest: Norm of what the parts differ by from their share of S: sqrt(sum_h A_h^2 / (U_h - 1) - S^2 / sum (U_h - 1)).
    """

    total: Float[np.ndarray, "methods flips"]
    parts: Float[np.ndarray, "methods strata flips"]
    rest: Float[np.ndarray, "methods flips"]


def _flip(
    values: Float[np.ndarray, "methods units"], sizes: Int[np.ndarray, " strata"], signs: Float[np.ndarray, "units flips"]
) -> _Flipped:
    """Units are in the order of their strata."""
    parts, stops = np.empty((len(values), len(sizes), signs.shape[1])), np.cumsum(sizes)
    for stratum, (size, stop) in enumerate(zip(sizes, stops, strict=True)):
        inside = slice(stop - size, stop)
        np.matmul(values[:, inside] * (size - 1) ** -0.5, signs[inside], out=parts[:, stratum])
    total, rest = np.empty((2, len(values), signs.shape[1]))
    for method, part in enumerate(parts):  # one by one, they stay in the processor's cache
        np.matmul((sizes - 1) ** 0.5, part, out=total[method])
        share = (1 - ROUNDING) / (sizes - 1).sum() * total[method] ** 2  # rounding makes no norm smaller than it is
        np.sqrt(np.einsum("sf,sf->f", part, part) - share, out=rest[method])
    return _Flipped(total, parts, rest)


def _count_extreme(flipped: _Flipped, pairs: Int[np.ndarray, "pairs 2"], observed: _Observed) -> Int[np.ndarray, " pairs"]:
    """How many flips are extreme, of each pair of methods."""
    total, parts, rest = flipped
    extreme, square, most = np.zeros(len(pairs), int), np.empty(total.shape[1]), np.empty(total.shape[1])
    columns = (observed.scale.tolist(), observed.inverse.tolist(), observed.least.tolist())
    # Pair by pair in two buffers, which stay in the processor's cache: arrays of all pairs at once take twice as long.
    for index, ((first, second), scale, inverse, least) in enumerate(zip(pairs.tolist(), *columns, strict=True)):
        np.subtract(total[first], total[second], out=square)
        square *= square
        np.add(rest[first], rest[second], out=most)  # two methods differ by no more than that: it decides most flips
        most *= most
        most *= 1 / scale
        most += square
        undecided = np.flatnonzero(most >= least / scale)
        if len(undecided):
            gaps = parts[first].take(undecided, 1) - parts[second].take(undecided, 1)
            extreme[index] = np.count_nonzero(inverse * square[undecided] + np.einsum("sf,sf->f", gaps, gaps) >= least)
    return extreme
