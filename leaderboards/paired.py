"""Methods side by side on the same instances: paired differences, their intervals and p-values, ranks and what would settle them.

Everything is computed from one table of per-instance scores, one column a method. No torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.special import ndtri
from scipy.stats import rankdata

from ..metrics.bootstrap import condition_groups, interval, mean_of_sums, resampled_sums

PERMUTATIONS = 9999
ALPHA = 0.05
POWER = 0.8
TAILS = (0.025, 0.975)


@dataclass(frozen=True, eq=False)
class Scored:
    """One metric's scores of several methods on the same instances.

    Attributes:
        methods: Labels.
        values: Score of each method and instance, draws and seeds averaged; NaN where undefined.
        conditions: The group of each instance that resampling keeps apart.
        higher_is_better: None where neither end is better.
    """

    methods: tuple[str, ...]
    values: Float[np.ndarray, "methods instances"]
    conditions: tuple[str, ...]
    higher_is_better: bool | None = True

    def __post_init__(self) -> None:
        if self.values.shape != (len(self.methods), len(self.conditions)):
            raise ValueError(
                f"scores must be {(len(self.methods), len(self.conditions))} (methods, instances), got {self.values.shape}."
            )

    @property
    def common(self) -> Bool[np.ndarray, " instances"]:
        """Instances where every method has a score."""
        return ~np.isnan(self.values).any(0)


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


def differences(scored: Scored, seed: int = 0) -> list[Difference]:
    """Every pair of methods, the larger mean first; Holm's correction over all pairs that have a p-value.

    Sources: paired permutation test by sign flips (Fisher 1935; Dror et al. 2018 for its use in language processing), Holm 1979.
    """
    pairs = list(combinations(range(len(scored.methods)), 2))
    found = [_difference(scored, *pair, seed) for pair in pairs]
    corrected = holm(np.array([d.p for d in found]))
    return [d._replace(p_holm=float(p)) for d, p in zip(found, corrected, strict=True)]


def _difference(scored: Scored, one: int, other: int, seed: int) -> Difference:
    gap = scored.values[one] - scored.values[other]
    live = ~np.isnan(gap)
    gap, count = gap[live], int(live.sum())
    if count and gap.mean() < 0:
        one, other, gap = other, one, -gap
    names = scored.methods[one], scored.methods[other]
    if not count:
        return Difference(*names, np.nan, np.nan, np.nan, np.nan, np.nan, 0, np.nan)
    groups = condition_groups(np.array(scored.conditions)[live])
    value, low, high = (float(x[0]) for x in interval(np.stack([gap, np.ones(count)], 1), groups, mean_of_sums, seed))
    return Difference(*names, value, low, high, sign_flip(gap, seed), np.nan, count, needed(gap))


def sign_flip(gap: Float[np.ndarray, " instances"], seed: int = 0, permutations: int = PERMUTATIONS) -> float:
    """Two-sided p-value of a mean difference of 0 when each instance's difference may have either sign.

    (1 + flips at least as extreme) / (1 + flips). In (0, 1]; NaN for fewer than two instances.

    >>> sign_flip(np.zeros(10))
    1.0
    """
    if len(gap) < 2:
        return float("nan")
    moving = gap[gap != 0]
    rng = np.random.default_rng(seed)
    signs = rng.integers(0, 2, (permutations, len(moving)), dtype=np.int8) * 2 - 1
    seen = abs(gap.sum())
    extreme = np.abs(signs @ moving) >= seen * (1 - 1e-12) - 1e-15
    return float((1 + extreme.sum()) / (1 + permutations))


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
    if len(gap) < 2 or gap.mean() == 0:
        return float("inf")
    return float(((ndtri(1 - ALPHA / 2) + ndtri(POWER)) * gap.std(ddof=1) / gap.mean()) ** 2)


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


def ranks(scored: Scored, seed: int = 0, resamples: int = 4000) -> Ranks:
    """Rank intervals from a paired bootstrap: instances are drawn anew, within each condition, for all methods at once.

    On the instances where every method has a score, so that no method gains from leaving out hard ones.
    """
    replicates = resampled_ranks(scored, seed, resamples)
    low, high = np.quantile(replicates, TAILS, axis=0, method="inverted_cdf")
    beats = np.stack([((r[:, None] < replicates) + 0.5 * (r[:, None] == replicates)).mean(0) for r in replicates.T])
    return Ranks(scored.methods, order(scored, scored.values[:, scored.common].mean(1)), low, high, beats)


def resampled_ranks(scored: Scored, seed: int, resamples: int) -> Float[np.ndarray, "resamples methods"]:
    """The rank of every method in every resample."""
    live = scored.common
    if not live.any():
        raise ValueError("no instance has a score of every method.")
    groups = condition_groups(np.array(scored.conditions)[live])
    sums = resampled_sums(scored.values[:, live].T, groups, np.random.default_rng(seed), resamples)
    return order(scored, np.round(sums / live.sum(), 12))


def order(scored: Scored, means: Float[np.ndarray, "*some methods"]) -> Float[np.ndarray, "*some methods"]:
    """Ranks of means, 1 is best; ties share their mean rank."""
    found: np.ndarray = rankdata(means if scored.higher_is_better is False else -means, axis=-1)
    return found


def tie_groups(ranked: Sequence[str], pairs: Sequence[Difference]) -> list[tuple[str, ...]]:
    """Runs of methods, in order of rank, of which no two differ (Holm-corrected p >= 0.05); each as long as it can be.

    What a critical-difference diagram joins with a bar (Demsar 2006). Runs within a longer run are left out.
    """
    apart = {frozenset((d.one, d.other)) for d in pairs if d.p_holm < ALPHA}
    runs: list[tuple[str, ...]] = []
    for start in range(len(ranked)):
        stop = start + 1
        while stop < len(ranked) and not any(frozenset((ranked[stop], m)) in apart for m in ranked[start:stop]):
            stop += 1
        if not runs or not set(ranked[start:stop]) <= set(runs[-1]):
            runs.append(tuple(ranked[start:stop]))
    return runs


class Overall(NamedTuple):
    """The mean rank of each method over several tables, with its interval."""

    methods: tuple[str, ...]
    rank: Float[np.ndarray, " methods"]
    low: Float[np.ndarray, " methods"]
    high: Float[np.ndarray, " methods"]
    tables: Int[np.ndarray, " methods"]


def overall(tables: Sequence[Scored], seed: int = 0, resamples: int = 4000) -> Overall:
    """Mean rank over tables of the methods that every table has, ranked among themselves.

    Each table's instances are resampled apart; a replicate of the mean rank is the mean over one replicate of each table.
    """
    methods = tuple(m for m in tables[0].methods if all(m in t.methods for t in tables))
    if not methods:
        return Overall((), *(np.zeros(0),) * 3, np.zeros(0, int))
    shared = [narrow(table, methods) for table in tables]
    seen = np.mean([order(t, t.values[:, t.common].mean(1)) for t in shared], 0)
    replicates = np.mean([resampled_ranks(t, seed + n, resamples) for n, t in enumerate(shared)], 0)
    low, high = np.quantile(replicates, TAILS, axis=0)
    return Overall(methods, seen, low, high, np.full(len(methods), len(tables)))


def narrow(scored: Scored, methods: Sequence[str]) -> Scored:
    """The table of some methods, in the order given."""
    rows = [scored.methods.index(m) for m in methods]
    return Scored(tuple(methods), scored.values[rows], scored.conditions, scored.higher_is_better)


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
