"""Paired comparison of methods on the same instances: differences with intervals and p-values, ranks with intervals, ties.

Everything is computed from one table of scores, one row a method and one column an instance.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from scipy.special import ndtri

from ...metrics.bootstrap import condition_groups, interval, mean_of_sums, resampled_sums
from ..stored.score_table import ScoreTable

PERMUTATIONS = 9999
ALPHA = 0.05
POWER = 0.8
TAILS = (0.025, 0.975)
FLIPS = 128
"""Permutations drawn at once: memory grows with them times instances."""
PAIRS = 256
"""Pairs whose differences are resampled at once: memory grows with pairs times resamples."""


class Difference(NamedTuple):
    """One method against another, on the instances where both have a score.

    `value` is mean(one) - mean(other) with its 95 % interval; `p` the two-sided sign-flip permutation test's, `p_holm` corrected
    over all pairs; `needed`: instances in all to separate them (power 0.8 at 0.05) if the difference is as seen. What is not
    known is NaN: all of it for methods that share no instance with a score.
    """

    one: str
    other: str
    value: float = math.nan
    low: float = math.nan
    high: float = math.nan
    p: float = math.nan
    p_holm: float = math.nan
    instances: int = 0
    needed: float = math.nan

    def swapped(self) -> Difference:
        """The same difference, with the other method named first."""
        return self._replace(one=self.other, other=self.one, value=-self.value, low=-self.high, high=-self.low)


def differences(scores: ScoreTable, seed: int = 0, only: Collection[tuple[int, int]] | None = None) -> list[Difference]:
    """Every pair of methods, the larger mean first; Holm's correction over all pairs that have a p-value.

    Sources: paired permutation test by sign flips (Fisher 1935; Dror et al. 2018 for its use in language processing), Holm 1979.
    All pairs are tested with the same flips and the same resamples, so that a hundred methods take seconds.

    Args:
        scores: The table.
        seed: Of flips and resamples.
        only: Pairs (lower row first) whose intervals are computed; the others have NaN there. None: all.

    Returns:
        One difference a pair of rows, in the order of `itertools.combinations`.
    """
    pairs = list(combinations(range(len(scores.methods)), 2))
    by_instances: dict[bytes, list[tuple[int, int]]] = {}
    defined = ~np.isnan(scores.values)
    for pair in pairs:
        by_instances.setdefault((defined[pair[0]] & defined[pair[1]]).tobytes(), []).append(pair)
    compared: dict[tuple[int, int], Difference] = {}
    for live, members in by_instances.items():
        compared |= _differences(scores, np.frombuffer(live, bool), members, seed, only)
    corrected = holm(np.array([compared[pair].p for pair in pairs]))
    return [compared[pair]._replace(p_holm=float(p)) for pair, p in zip(pairs, corrected, strict=True)]


def _differences(
    scores: ScoreTable,
    live: Bool[np.ndarray, " instances"],
    pairs: Sequence[tuple[int, int]],
    seed: int,
    only: Collection[tuple[int, int]] | None,
) -> dict[tuple[int, int], Difference]:
    """Pairs that are compared on the same instances."""
    names, count = scores.methods, int(live.sum())
    if not count:
        return {(i, j): Difference(names[i], names[j]) for i, j in pairs}
    values = scores.values[:, live]
    p_values = sign_flips(values, pairs, seed)
    bounds = _bounds(values, [p for p in pairs if only is None or p in only], np.array(scores.conditions)[live], seed)
    first, second = np.array(pairs).T
    gaps = values[first] - values[second]
    compared = {}
    for pair, p, mean, instances in zip(pairs, p_values, gaps.mean(1).tolist(), needed(gaps).tolist(), strict=True):
        low, high = bounds.get(pair, (math.nan, math.nan))
        one, other = (names[row] for row in pair)
        difference = Difference(one, other, mean, low, high, p, instances=count, needed=instances)
        compared[pair] = difference.swapped() if mean < 0 else difference
    return compared


def _bounds(
    values: Float[np.ndarray, "methods instances"], pairs: Sequence[tuple[int, int]], conditions: np.ndarray, seed: int
) -> dict[tuple[int, int], tuple[float, float]]:
    """The interval of every pair's mean difference."""
    groups, bounds = condition_groups(conditions), dict[tuple[int, int], tuple[float, float]]()
    for start in range(0, len(pairs), PAIRS):
        part = pairs[start : start + PAIRS]
        gaps = [values[first] - values[second] for first, second in part]
        # The last feature counts instances, so that a resample's mean is a sum over a sum, as `mean_of_sums` takes it.
        _, low, high = interval(np.stack([*gaps, np.ones(values.shape[1])], 1), groups, mean_of_sums, seed)
        bounds |= dict(zip(part, zip(low.tolist(), high.tolist(), strict=True), strict=True))
    return bounds


def sign_flips(
    values: Float[np.ndarray, "methods instances"],
    pairs: Sequence[tuple[int, int]],
    seed: int = 0,
    permutations: int = PERMUTATIONS,
) -> list[float]:
    """Two-sided p-value of a mean difference of 0, of every pair, when each instance's difference may have either sign.

    (1 + flips at least as extreme) / (1 + flips). In (0, 1]; NaN for fewer than two instances. A flip of all signs at once is one
    of each pair's, for sum s (a - b) = sum s a - sum s b.

    Args:
        values: The score of every instance by each method.
        pairs: The rows that are compared.
        seed: Of the flips.
        permutations: How many flips are drawn.

    >>> float(sign_flips(np.zeros((2, 10)), [(0, 1)])[0])
    1.0
    """
    if values.shape[1] < 2:
        return [float("nan")] * len(pairs)
    used = sorted({row for pair in pairs for row in pair})
    # Less the mean over methods, numbers are smaller and round less; it cancels in every difference.
    values = values[used] - values[used].mean(0)
    total = values.sum(1)
    # A flip that gives the same sum in another order of additions is as extreme: the slack is of the size of rounding.
    least = np.abs(total[:, None] - total) - 1e-12 * np.abs(values).sum(1).max()
    flipped, rng = np.empty((len(used), permutations)), np.random.default_rng(seed)
    for start in range(0, permutations, FLIPS):
        shape = (min(FLIPS, permutations - start), values.shape[1])
        flipped[:, start : start + FLIPS] = values @ (rng.integers(0, 2, shape, dtype=np.int8) * 2.0 - 1).T
    index_of = {row: index for index, row in enumerate(used)}
    p_values, gap = list[float](), np.empty(permutations)
    # Pair by pair in one buffer, which stays in the processor's cache: arrays of all pairs at once take twice as long.
    for pair in pairs:
        first, second = index_of[pair[0]], index_of[pair[1]]
        np.subtract(flipped[first], flipped[second], out=gap)
        extreme = np.count_nonzero(np.abs(gap, out=gap) >= least[first, second])
        # The observed signs are one of the flips (the added 1), so that p is never 0 and the test keeps its level.
        p_values.append((1 + extreme) / (1 + permutations))
    return p_values


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


def needed(gaps: Float[np.ndarray, "pairs instances"]) -> Float[np.ndarray, " pairs"]:
    """Instances in all after which a paired test finds these differences with power 0.8 at level 0.05; infinite without one.

    n = ((z_0.975 + z_0.8) sd / mean)^2, the normal approximation of the paired test.

    Args:
        gaps: Score of one method less that of another, of each instance.

    >>> needed(np.array([[1.0, 0.0, 1.0, 0.0]])).round(1).tolist()
    [10.5]
    """
    mean, instances = gaps.mean(1), np.full(len(gaps), np.inf)
    moves = mean != 0
    if gaps.shape[1] > 1:
        sd = gaps[moves].std(1, ddof=1)
        instances[moves] = ((ndtri(1 - ALPHA / 2) + ndtri(POWER)) * sd / mean[moves]) ** 2
    return instances


@dataclass(frozen=True, eq=False)
class Ranks:
    """The order of methods and how sure it is, in one table or over several.

    Attributes:
        methods: Labels.
        rank: By the mean over the common instances, 1 is best, ties share their mean rank; over tables, the mean of these ranks.
        low, high: Ends of the 95 % interval of each rank.
        beats: [a, b]: share of resamples in which a is better than b (a tie counts half).
    """

    methods: tuple[str, ...]
    rank: Float[np.ndarray, " methods"]
    low: Float[np.ndarray, " methods"]
    high: Float[np.ndarray, " methods"]
    beats: Float[np.ndarray, "methods methods"]


def ranks(scores: ScoreTable, seed: int = 0, resamples: int = 4000) -> Ranks:
    """Rank intervals from a paired bootstrap: instances are drawn anew, within each condition, for all methods at once.

    On the instances where every method has a score, so that no method gains from leaving out hard ones.

    Args:
        scores: The table.
        seed: Of the resamples.
        resamples: How many are drawn.

    Raises:
        ValueError: No instance has a score of every method.
    """
    replicates = resampled_ranks(scores, seed, resamples)
    # Ranks are whole or half numbers: the inverted distribution function names one that occurs, not one between two.
    low, high = np.quantile(replicates, TAILS, axis=0, method="inverted_cdf")
    seen = scores.order(scores.common_means())
    return Ranks(methods=scores.methods, rank=seen, low=low, high=high, beats=shares_won(replicates))


def shares_won(replicates: Float[np.ndarray, "resamples methods"]) -> Float[np.ndarray, "methods methods"]:
    """[a, b]: share of resamples in which a has the smaller rank than b; a tie counts half.

    Args:
        replicates: Rank of each method in each resample.

    >>> shares_won(np.array([[1.0, 2.0], [1.5, 1.5]])).tolist()
    [[0.5, 0.75], [0.25, 0.5]]
    """
    rows = np.ascontiguousarray(replicates.T)
    ahead = np.array([[np.count_nonzero(less) for less in row < rows] for row in rows]) / len(replicates)
    won: np.ndarray = 0.5 * (1 + ahead - ahead.T)
    return won


def resampled_ranks(scores: ScoreTable, seed: int, resamples: int) -> Float[np.ndarray, "resamples methods"]:
    """The rank of every method in every resample of the common instances.

    Args:
        scores: The table.
        seed: Of the resamples.
        resamples: How many are drawn.

    Raises:
        ValueError: No instance has a score of every method.
    """
    live = scores.common
    if not live.any():
        raise ValueError("no instance has a score of every method.")
    groups = condition_groups(np.array(scores.conditions)[live])
    sums = resampled_sums(scores.values[:, live].T, groups, np.random.default_rng(seed), resamples)
    # Equal methods get the same scores in another order of additions: rounded, their means tie as they should.
    return scores.order(np.round(sums / live.sum(), 12))


def overall(tables: Sequence[ScoreTable], tasks: Sequence[str] = (), seed: int = 0, resamples: int = 4000) -> Ranks:
    """Mean rank over tables of the methods that every table has, ranked among themselves.

    A replicate of the mean rank is the mean over one replicate of each table. Tables of one task are of the same instances, which
    are drawn together (where all of them have the same scores undefined); tasks are resampled apart.

    Args:
        tables: Scores, one table a metric and task.
        tasks: The task of each table; none: each is of another.
        seed: Of the resamples.
        resamples: How many are drawn.
    """
    task_names = tuple(tasks) or range(len(tables))
    seeds = {name: seed + index for index, name in enumerate(dict.fromkeys(task_names))}  # one task, one draw of instances
    methods = tuple(m for m in tables[0].methods if all(m in t.methods for t in tables))
    if not methods:
        return Ranks((), *(np.zeros(0),) * 3, np.zeros((0, 0)))
    shared = [table.narrow(methods) for table in tables]
    seen = np.mean([table.order(table.common_means()) for table in shared], 0)
    replicates = np.mean([resampled_ranks(t, seeds[name], resamples) for name, t in zip(task_names, shared, strict=True)], 0)
    low, high = np.quantile(replicates, TAILS, axis=0)
    return Ranks(methods, seen, low, high, shares_won(replicates))


def sentence(d: Difference, metric: str, higher_is_better: bool | None) -> str:
    """A difference in words: who is better on what, by how much, and how sure that is.

    Args:
        d: The difference.
        metric: Its name.
        higher_is_better: Of the metric; None: neither end is better.
    """
    if not d.instances:
        return f"{d.one} and {d.other} share no instance with a score on {metric}"
    if higher_is_better is False:
        d = d.swapped()  # the better one first, so that the sign says which way better is
    value, low, high = (round(x, 9) + 0.0 for x in (d.value, d.low, d.high))  # what rounding left of 0 is 0
    size = f"{value:+.3g} [{low:.3g}, {high:.3g}], p = {d.p_holm:.2g}, {d.instances} instances"
    if not d.p_holm < ALPHA:
        remedy = "" if np.isinf(d.needed) else f"; about {np.ceil(d.needed):.0f} instances would separate them"
        return f"{d.one} and {d.other} cannot be separated on {metric}: {size}{remedy}"
    if higher_is_better is None:
        return f"{d.one} has more {metric} than {d.other}: {size}"
    return f"{d.one} is better than {d.other} on {metric}: {size}"
