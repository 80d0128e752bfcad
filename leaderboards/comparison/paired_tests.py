"""Methods side by side on the same instances: paired differences, their intervals and p-values, ranks and what would settle them.

Everything is computed from one table of per-instance scores, one column a method. No torch.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import ndtri

from ...metrics.bootstrap import condition_groups, interval, mean_of_sums, resampled_sums
from ..stored.score_table import ScoreTable

PERMUTATIONS = 9999
ALPHA = 0.05
POWER = 0.8
TAILS = (0.025, 0.975)
FLIPS = 128
"""Permutations at once: so few that a hundred methods' sums stay in the processor's cache."""


class Difference(NamedTuple):
    """One method against another, on the instances where both have a score.

    `value` is mean(one) - mean(other) with its 95 % interval; `p` the two-sided sign-flip permutation test's, `p_holm` corrected
    over all pairs; `needed`: instances in all to tell them apart (power 0.8 at 0.05) if the difference is as seen.
    """

    one: str
    other: str
    value: float
    low: float
    high: float
    p: float
    p_holm: float
    instances: int
    needed: float


def differences(scored: ScoreTable, seed: int = 0, only: Collection[tuple[int, int]] | None = None) -> list[Difference]:
    """Every pair of methods, the larger mean first; Holm's correction over all pairs that have a p-value.

    Sources: paired permutation test by sign flips (Fisher 1935; Dror et al. 2018 for its use in language processing), Holm 1979.
    All pairs are tested with the same flips and the same resamples, so that a hundred methods take seconds.

    Args:
        scored: The table.
        seed: Of flips and resamples.
        only: Pairs (lower row first) whose intervals are wanted; the others have NaN there. Default: all.
    """
    pairs = list(combinations(range(len(scored.methods)), 2))
    shared: dict[bytes, list[tuple[int, int]]] = {}
    defined = ~np.isnan(scored.values)
    for pair in pairs:
        shared.setdefault((defined[pair[0]] & defined[pair[1]]).tobytes(), []).append(pair)
    found: dict[tuple[int, int], Difference] = {}
    for live, members in shared.items():
        found |= _differences(scored, np.frombuffer(live, bool), members, seed, only)
    corrected = holm(np.array([found[pair].p for pair in pairs]))
    return [found[pair]._replace(p_holm=float(p)) for pair, p in zip(pairs, corrected, strict=True)]


def _differences(
    scored: ScoreTable,
    live: Bool[np.ndarray, " instances"],
    pairs: Sequence[tuple[int, int]],
    seed: int,
    only: Collection[tuple[int, int]] | None,
) -> dict[tuple[int, int], Difference]:
    """Pairs that are compared on the same instances."""
    count, nan = int(live.sum()), float("nan")
    if not count:
        names = scored.methods
        return {(a, b): Difference(names[a], names[b], nan, nan, nan, nan, nan, 0, nan) for a, b in pairs}
    values = scored.values[:, live]
    p_values = _sign_flips(values, pairs, seed)
    bounds = _bounds(values, [p for p in pairs if only is None or p in only], np.array(scored.conditions)[live], seed)
    first, second = np.array(pairs).T
    gaps = values[first] - values[second]
    found = {}
    for pair, p, mean, more in zip(pairs, p_values, gaps.mean(1).tolist(), _needed(gaps).tolist(), strict=True):
        one, other = (scored.methods[i] for i in pair)
        low, high = bounds.get(pair, (nan, nan))
        ahead = Difference(one, other, mean, low, high, p, nan, count, more)
        behind = Difference(other, one, -ahead.value, -high, -low, p, nan, count, ahead.needed)
        found[pair] = behind if ahead.value < 0 else ahead
    return found


def _bounds(
    values: Float[np.ndarray, "methods instances"], pairs: Sequence[tuple[int, int]], conditions: np.ndarray, seed: int
) -> dict[tuple[int, int], tuple[float, float]]:
    """The interval of every pair's mean difference, a few hundred pairs at once."""
    groups, found = condition_groups(conditions), dict[tuple[int, int], tuple[float, float]]()
    for start in range(0, len(pairs), 256):
        part = pairs[start : start + 256]
        gaps = [values[one] - values[other] for one, other in part]
        _, low, high = interval(np.stack([*gaps, np.ones(values.shape[1])], 1), groups, mean_of_sums, seed)
        found |= dict(zip(part, zip(low.tolist(), high.tolist(), strict=True), strict=True))
    return found


def sign_flip(gap: Float[np.ndarray, " instances"], seed: int = 0, permutations: int = PERMUTATIONS) -> float:
    """Two-sided p-value of a mean difference of 0 when each instance's difference may have either sign.

    (1 + flips at least as extreme) / (1 + flips). In (0, 1]; NaN for fewer than two instances.

    >>> sign_flip(np.zeros(10))
    1.0
    """
    return _sign_flips(np.stack([gap, np.zeros_like(gap)]), [(0, 1)], seed, permutations)[0]


def _sign_flips(
    values: Float[np.ndarray, "methods instances"], pairs: Sequence[tuple[int, int]], seed: int, permutations: int = PERMUTATIONS
) -> list[float]:
    """The p-value of every pair: a flip of all signs at once is one of each pair's, for sum s (a - b) = sum s a - sum s b."""
    if values.shape[1] < 2:
        return [float("nan")] * len(pairs)
    used = sorted({place for pair in pairs for place in pair})
    values = values[used] - values[used].mean(0)  # smaller numbers round less; differences stay
    total = values.sum(1)
    least = np.abs(total[:, None] - total) - 1e-12 * np.abs(values).sum(1).max()
    extreme, rng = np.zeros((len(used), len(used)), int), np.random.default_rng(seed)
    for start in range(0, permutations, FLIPS):
        shape = (min(FLIPS, permutations - start), values.shape[1])
        flipped = values @ (rng.integers(0, 2, shape, dtype=np.int8) * 2.0 - 1).T
        for number in range(len(used) - 1):
            gap = np.abs(flipped[number + 1 :] - flipped[number])
            extreme[number, number + 1 :] += np.count_nonzero(gap >= least[number, number + 1 :, None], axis=1)
    at = {place: number for number, place in enumerate(used)}
    return [float((1 + extreme[at[one], at[other]]) / (1 + permutations)) for one, other in pairs]


def holm(p: Float[np.ndarray, " tests"]) -> Float[np.ndarray, " tests"]:
    """Holm's step-down correction (Holm 1979); NaN stay and do not count.

    >>> holm(np.array([0.01, 0.04, 0.03])).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    corrected = np.full_like(p, np.nan)
    live = np.flatnonzero(~np.isnan(p))
    order = live[np.argsort(p[live], kind="stable")]
    steps = p[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected


def needed(gap: Float[np.ndarray, " instances"]) -> float:
    """Instances in all after which a paired test finds this difference with power 0.8 at level 0.05; infinite without one.

    n = ((z_0.975 + z_0.8) sd / mean)^2, the normal approximation of the paired test.

    >>> round(needed(np.array([1.0, 0.0, 1.0, 0.0])), 1)
    10.5
    """
    return float(_needed(gap[None])[0])


def _needed(gaps: Float[np.ndarray, "pairs instances"]) -> Float[np.ndarray, " pairs"]:
    """`needed` of many pairs."""
    mean, found = gaps.mean(1), np.full(len(gaps), np.inf)
    moves = mean != 0
    if gaps.shape[1] > 1:
        sd = gaps[moves].std(1, ddof=1)
        found[moves] = ((ndtri(1 - ALPHA / 2) + ndtri(POWER)) * sd / mean[moves]) ** 2
    return found


@dataclass(frozen=True, eq=False)
class Ranks:
    """How sure an order of methods is.

    Attributes:
        methods: Labels.
        rank: By the mean over the common instances, 1 is best, ties share their mean rank.
        low, high: Of the 95 % interval of each rank.
        beats: [a, b]: share of resamples in which a is better than b (a tie counts half).
    """

    methods: tuple[str, ...]
    rank: Float[np.ndarray, " methods"]
    low: Float[np.ndarray, " methods"]
    high: Float[np.ndarray, " methods"]
    beats: Float[np.ndarray, "methods methods"]


def ranks(scored: ScoreTable, seed: int = 0, resamples: int = 4000) -> Ranks:
    """Rank intervals from a paired bootstrap: instances are drawn anew, within each condition, for all methods at once.

    On the instances where every method has a score, so that no method gains from leaving out hard ones.
    """
    replicates = resampled_ranks(scored, seed, resamples)
    low, high = np.quantile(replicates, TAILS, axis=0, method="inverted_cdf")
    seen = scored.order(scored.common_means())
    return Ranks(scored.methods, seen, low, high, shares_won(replicates))


def shares_won(replicates: Float[np.ndarray, "resamples methods"]) -> Float[np.ndarray, "methods methods"]:
    """[a, b]: share of resamples in which a has the smaller rank than b; a tie counts half."""
    ahead = np.stack([np.count_nonzero(r[:, None] < replicates, axis=0) for r in replicates.T]) / len(replicates)
    won: np.ndarray = 0.5 * (1 + ahead - ahead.T)
    return won


def resampled_ranks(scored: ScoreTable, seed: int, resamples: int) -> Float[np.ndarray, "resamples methods"]:
    """The rank of every method in every resample."""
    live = scored.common
    if not live.any():
        raise ValueError("no instance has a score of every method.")
    groups = condition_groups(np.array(scored.conditions)[live])
    sums = resampled_sums(scored.values[:, live].T, groups, np.random.default_rng(seed), resamples)
    return scored.order(np.round(sums / live.sum(), 12))


def tie_groups(ranked: Sequence[str], pairs: Sequence[Difference]) -> list[tuple[str, ...]]:
    """Runs of methods, in order of rank, of which no two differ (Holm-corrected p >= 0.05); each as long as it can be.

    What a critical-difference diagram joins with a bar (Demsar 2006). Runs within a longer run are left out.
    """
    at, apart = {name: number for number, name in enumerate(ranked)}, np.zeros((len(ranked), len(ranked)), bool)
    for d in pairs:
        if d.p_holm < ALPHA and d.one in at and d.other in at:
            first, second = sorted((at[d.one], at[d.other]))
            apart[second, first] = True
    runs: list[tuple[str, ...]] = []
    end = 0
    for start in range(len(ranked)):
        stop = start + 1
        while stop < len(ranked) and not apart[stop, start:stop].any():
            stop += 1
        if stop > end:
            runs.append(tuple(ranked[start:stop]))
            end = stop
    return runs


class MeanRanks(NamedTuple):
    """The mean rank of each method over several tables, with its interval; `beats` as in `Ranks`, of mean ranks."""

    methods: tuple[str, ...]
    rank: Float[np.ndarray, " methods"]
    low: Float[np.ndarray, " methods"]
    high: Float[np.ndarray, " methods"]
    tables: Int[np.ndarray, " methods"]
    beats: Float[np.ndarray, "methods methods"]


def overall(tables: Sequence[ScoreTable], tasks: Sequence[str] = (), seed: int = 0, resamples: int = 4000) -> MeanRanks:
    """Mean rank over tables of the methods that every table has, ranked among themselves.

    A replicate of the mean rank is the mean over one replicate of each table. Tables of one task are of the same instances, which
    are drawn together (where all of them have the same scores undefined); tasks are resampled apart.

    Args:
        tables: Of scores.
        tasks: What each is of; none: each of another.
        seed: Of the resamples.
        resamples: How many.
    """
    named = tuple(tasks) or range(len(tables))
    seeds = {name: seed + number for number, name in enumerate(dict.fromkeys(named))}
    methods = tuple(m for m in tables[0].methods if all(m in t.methods for t in tables))
    if not methods:
        return MeanRanks((), *(np.zeros(0),) * 3, np.zeros(0, int), np.zeros((0, 0)))
    shared = [table.narrow(methods) for table in tables]
    seen = np.mean([table.order(table.common_means()) for table in shared], 0)
    replicates = np.mean([resampled_ranks(t, seeds[name], resamples) for name, t in zip(named, shared, strict=True)], 0)
    low, high = np.quantile(replicates, TAILS, axis=0)
    return MeanRanks(methods, seen, low, high, np.full(len(methods), len(tables)), shares_won(replicates))


def sentence(d: Difference, metric: str, higher_is_better: bool | None) -> str:
    """A difference in words: who is better on what, by how much, and how sure that is."""
    if not d.instances:
        return f"{d.one} and {d.other} share no instance with a score on {metric}"
    if higher_is_better is False:  # the better one first, so that the sign says which way better is
        d = d._replace(one=d.other, other=d.one, value=-d.value, low=-d.high, high=-d.low)
    value, low, high = (round(x, 9) + 0.0 for x in (d.value, d.low, d.high))  # what rounding left of 0 is 0
    size = f"{value:+.3g} [{low:.3g}, {high:.3g}], p = {d.p_holm:.2g}, {d.instances} instances"
    if not d.p_holm < ALPHA:
        more = "" if np.isinf(d.needed) else f"; about {np.ceil(d.needed):.0f} instances would tell"
        return f"{d.one} and {d.other} cannot be told apart on {metric}: {size}{more}"
    return f"{d.one} {'has more' if higher_is_better is None else 'is better than ' + d.other + ' on'} {metric}" + (
        f" than {d.other}: {size}" if higher_is_better is None else f": {size}"
    )
