"""The order of methods: ranks of means, in one table and over several, and how sure they are."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import chain
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import stats
from scipy.special import ndtri

from .differences import paired_differences
from .intervals import t_intervals
from .sign_flips import ALPHA, pair_gaps
from .units import ROUNDING, Moments, SeedVariance, Units, moments

RESAMPLES = 4000
SPLITS = 400
"""How often the instances are split into halves."""
TAILS = (ALPHA / 2, 1 - ALPHA / 2)


def ranks_of(means: Float[np.ndarray, "*some methods"], higher_is_better: bool | None) -> Float[np.ndarray, "*some methods"]:
    """Ranks of means: 1 is best, equal means share their mean rank. Where neither end is better, the largest comes first.

    Means are equal that differ by rounding only, relative to the largest of them: sums of the same scores in another order, or
    with another library of linear algebra, differ in their last digits.

    Args:
        means: Of the methods.
        higher_is_better: Which end is best.

    >>> ranks_of(np.array([0.5, 0.9, 0.5 + 1e-16]), True).tolist()
    [2.5, 1.0, 2.5]
    """
    worse = means if higher_is_better is False else -means
    order = np.argsort(worse, axis=-1, kind="stable")
    in_order = np.take_along_axis(worse, order, -1)
    slack = ROUNDING * np.abs(worse).max(-1, keepdims=True, initial=0)
    step = np.concatenate([np.zeros_like(in_order[..., :1]), np.diff(in_order, axis=-1) > slack], -1)
    level = np.empty_like(worse)
    np.put_along_axis(level, order, np.cumsum(step, -1), -1)
    ranked: np.ndarray = stats.rankdata(level, axis=-1)
    return ranked


def rank_bounds(
    ranks: Float[np.ndarray, " methods"], separated: Bool[np.ndarray, "methods methods"]
) -> tuple[Float[np.ndarray, " methods"], Float[np.ndarray, " methods"]]:
    """The ranks that separated pairs leave each method: behind those that are better, ahead of those that are worse.

    Where the pairs are corrected together, all intervals hold at once with that probability (Klein, Wright and Wieczorek 2020, "A
    joint confidence region for an overall ranking of populations").

    Args:
        ranks: As observed.
        separated: Symmetric; the diagonal does not count.

    >>> rank_bounds(np.array([1.0, 2.0, 3.0]), np.array([[0, 0, 1], [0, 0, 1], [1, 1, 0]], bool))
    (array([1., 1., 3.]), array([2., 2., 3.]))
    """
    better = ranks[None] < ranks[:, None]
    low = 1.0 + (separated & better).sum(1)
    high = len(ranks) - (separated & ~better).sum(1).astype(float)
    return low, high


def resampled_means(
    units: Units,
    seed: int = 0,
    resamples: int = RESAMPLES,
    higher_is_better: bool | None = True,
    weights: Float[np.ndarray, "resamples units"] | None = None,
) -> Float[np.ndarray, "resamples rows"]:
    """Means of units drawn with replacement, as many from each stratum as it has, and of other seeds.

    Deviations from the stratum's mean are scaled by sqrt(U / (U - 1)), so that the variance over resamples is that of `moments`
    (Rao and Wu 1988 for small strata). Units of one number and the same strata are drawn alike, whatever their scores. What seeds
    add is drawn from a normal distribution, alike in tables of the same rows: what is better in one is better in all.

    Args:
        units: Scores.
        seed: Of the draws.
        resamples: How many.
        higher_is_better: Which end is best.
        weights: How often each unit is drawn, where other tables have the same draws; None: drawn by `drawn_weights`.
    """
    weights = drawn_weights(units.strata, seed, resamples) if weights is None else weights
    mean = units.sums.sum(1) / units.sizes.sum()
    # Not the ratio of two resampled sums: few clusters of very different sizes would bring its denominator near 0.
    means: np.ndarray = mean + weights @ (units.sums - mean[:, None] * units.sizes).T / units.sizes.sum()
    if units.seeds is not None:
        better = np.random.default_rng([seed, 1]).normal(size=means.shape) * np.sqrt(units.seeds.variance)
        means += -better if higher_is_better is False else better
    return means


def drawn_weights(
    strata: Int[np.ndarray, " units"], seed: int = 0, resamples: int = RESAMPLES
) -> Float[np.ndarray, "resamples units"]:
    """How often each unit is drawn, scaled for small strata; as many units are drawn from each stratum as it has.

    Args:
        strata: The stratum of each unit.
        seed: Of the draws.
        resamples: How many.
    """
    weights, sizes = np.empty((resamples, len(strata))), tuple(np.bincount(strata).tolist())
    for stratum, (size, times) in enumerate(zip(sizes, _times_drawn(sizes, seed, resamples), strict=True)):
        weights[:, strata == stratum] = 1 + np.sqrt(size / max(size - 1, 1)) * (times - 1)
    return weights


@lru_cache(maxsize=1)
def _times_drawn(sizes: tuple[int, ...], seed: int, resamples: int) -> tuple[Int[np.ndarray, "resamples own"], ...]:
    """How often each unit of each stratum is drawn; all tables of a task are drawn alike, one after another."""
    rng = np.random.default_rng(seed)
    return tuple(rng.multinomial(size, np.full(size, 1 / size), resamples) for size in sizes)


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


class RankedSample(NamedTuple):
    """Scores of the same methods on the instances of one task.

    Attributes:
        units: One row a method.
        task: The task; samples of one task share instances.
        higher_is_better: Which end is best.
        counts: Whether its scores count for the difference to the best, in score units: at most one table a task.
        names: Of the units, by which those of tables of one task are matched. Empty: the tables have the same units in one order.
    """

    units: Units
    task: str
    higher_is_better: bool | None = True
    counts: bool = True
    names: tuple[str, ...] = ()


class Repetition(NamedTuple):
    """How much of an order other instances of the same tasks repeat; NaN where a table has one unit, or all methods tie.

    Attributes:
        tau: Mean of Kendall's tau-b between the orders on two halves of the instances, over random splits.
        low, high: What 95 % of the splits lie between.
    """

    tau: float
    low: float
    high: float


class OverallOrder(NamedTuple):
    """Mean ranks over several tables, and what each is sure of.

    Attributes:
        rank: Mean over tables of the rank on the instances that all methods have.
        low, high: 95 % interval over the instances: other sentences of the same tasks, not other tasks; NaN where (nearly) all
            resamples give one mean rank. Like `halves`, `first` and the ends of `behind` also NaN where a table has one unit.
        task_low, task_high: 95 % Student interval over the tasks as a sample of tasks; NaN where they do not differ.
        best_task, worst_task: Smallest and largest mean rank on a task.
        halves: Mean rank on each half of the instances, which alternate within each condition.
        behind, behind_low, behind_high: Mean score of the first method less that of each, in the direction that is better, with
            its 95 % interval; 0 of the first.
        first: Share of resamples in which a method has the best mean rank; methods that tie share it.
        separated: Pairs whose scores and mean ranks differ, in the same direction. Scores: in standard deviations of each table
            (of the means of its clusters, if it has any), averaged over tables, tested by sign flips, corrected by Holm over all
            pairs. Mean ranks: by more than their resampled standard error explains at the level of the same correction.
        repetition: How much of the order two random halves of the instances share.
    """

    rank: Float[np.ndarray, " methods"]
    low: Float[np.ndarray, " methods"]
    high: Float[np.ndarray, " methods"]
    task_low: Float[np.ndarray, " methods"]
    task_high: Float[np.ndarray, " methods"]
    best_task: Float[np.ndarray, " methods"]
    worst_task: Float[np.ndarray, " methods"]
    halves: Float[np.ndarray, "2 methods"]
    behind: Float[np.ndarray, " methods"]
    behind_low: Float[np.ndarray, " methods"]
    behind_high: Float[np.ndarray, " methods"]
    first: Float[np.ndarray, " methods"]
    separated: Bool[np.ndarray, "methods methods"]
    repetition: Repetition


def overall_order(samples: Sequence[RankedSample], seed: int = 0, resamples: int = RESAMPLES) -> OverallOrder:
    """Mean ranks of the same methods over tables, with their uncertainty over instances and over tasks.

    Tables of one task are drawn together, tasks apart.

    Args:
        samples: One a table; one or more.
        seed: Of the resamples.
        resamples: How many are drawn.
    """
    by_task = [[sample for sample in samples if sample.task == task] for task in dict.fromkeys(s.task for s in samples)]
    of_task = np.array([np.mean([_ranks(sample, sample.units) for sample in members], 0) for members in by_task])
    rank = np.mean([_ranks(sample, sample.units) for sample in samples], 0)
    known = [[sample for sample in members if sample.units.sums.shape[1] > 1] for members in by_task]  # one unit has no spread
    several = sum(map(len, known)) == len(samples)
    replicates, none = np.zeros((resamples, len(rank))), np.full(len(rank), np.nan)
    for index, members in enumerate(by_task):
        strata, places = _shared_units(members)
        weights = drawn_weights(strata, seed + index, resamples)  # one task, one draw of instances
        for sample, own in zip(members, places, strict=True):
            drawn = resampled_means(sample.units, seed + index, resamples, sample.higher_is_better, weights[:, own])
            replicates += ranks_of(drawn, sample.higher_is_better) / len(samples)
    low, high = np.quantile(replicates, TAILS, axis=0)
    low, high = (np.where((low < high) & several, end, np.nan) for end in (low, high))  # a sample makes no rank certain
    best = ranks_of(replicates, False)
    tied = best == best.min(1, keepdims=True)
    halves = np.array([np.mean([_ranks(s, _half(s.units, part)) for s in samples], 0) if several else none for part in range(2)])
    return OverallOrder(
        rank, low, high, *_over_tasks(of_task), of_task.min(0), of_task.max(0), halves, *_behind(samples, rank),
        (tied / tied.sum(1, keepdims=True)).mean(0) if several else none,
        _separated([_standardised(members) for members in known if members], rank, np.atleast_2d(np.cov(replicates.T))),
        _repetition(by_task, seed) if several and len(rank) > 1 else Repetition(np.nan, np.nan, np.nan),
    )  # fmt: skip


def _repetition(by_task: Sequence[Sequence[RankedSample]], seed: int, splits: int = SPLITS) -> Repetition:
    """Kendall's tau-b of the mean ranks on two random halves; tables of one task are split alike."""
    ranks = np.zeros((2, splits, len(by_task[0][0].units.sums)))
    for index, members in enumerate(by_task):
        strata, places = _shared_units(members)
        first = random_halves(strata, np.random.default_rng([seed, index]), splits)
        for sample, own in zip(members, places, strict=True):
            for half, chosen in enumerate((first[:, own], ~first[:, own])):
                means = chosen @ sample.units.sums.T / np.maximum(chosen @ sample.units.sizes, 1e-300)[:, None]
                ranks[half] += ranks_of(means, sample.higher_is_better)
    taus = np.array([stats.kendalltau(*pair).statistic for pair in zip(*ranks, strict=True)])
    known = taus[~np.isnan(taus)]
    return Repetition(*((known.mean(), *np.quantile(known, TAILS)) if len(known) else (np.nan,) * 3))


def random_halves(strata: Int[np.ndarray, " units"], rng: np.random.Generator, splits: int) -> Bool[np.ndarray, "splits units"]:
    """Which units are in the first half: every other one of each stratum in a random order; where it is odd, one more by chance.

    Args:
        strata: The stratum of each unit.
        rng: Draws the orders.
        splits: How many.
    """
    first = np.empty((splits, len(strata)), bool)
    for stratum in range(strata.max() + 1):
        members = np.flatnonzero(strata == stratum)
        places = rng.permuted(np.tile(np.arange(len(members)), (splits, 1)), axis=1)
        first[:, members] = places % 2 == rng.integers(0, 2, (splits, 1))
    return first


def _shared_units(samples: Sequence[RankedSample]) -> tuple[Int[np.ndarray, " units"], list[Int[np.ndarray, " own"]]]:
    """The units that any table of a task has, as the stratum of each, and which of them are those of each table.

    A unit is in the stratum that the largest table has it in; one that this table lacks is where most of its own stratum are.
    """
    names = [sample.names or tuple(map(str, range(len(sample.units.strata)))) for sample in samples]
    place = {name: index for index, name in enumerate(dict.fromkeys(chain.from_iterable(names)))}
    places = [np.array([place[name] for name in own]) for own in names]
    strata = np.full(len(place), -1)
    for own, sample in sorted(zip(places, samples, strict=True), key=lambda table: -len(table[0])):
        for stratum in range(sample.units.strata.max() + 1):
            members = own[sample.units.strata == stratum]
            known = strata[members][strata[members] >= 0]
            strata[members[strata[members] < 0]] = np.bincount(known).argmax() if len(known) else strata.max() + 1
    return strata, places


def _ranks(sample: RankedSample, units: Units) -> Float[np.ndarray, " methods"]:
    return ranks_of(units.sums.sum(1) / units.sizes.sum(), sample.higher_is_better)


def _half(units: Units, part: int) -> Units:
    """Every other unit of each stratum."""
    place = np.empty(len(units.strata), int)
    for stratum in range(units.strata.max() + 1):
        members = np.flatnonzero(units.strata == stratum)
        place[members] = np.arange(len(members)) + stratum  # strata of odd size start in turn, so that halves are as large
    chosen = place % 2 == part if len(place) > 1 else np.ones(1, bool)
    return Units(units.sums[:, chosen], units.sizes[chosen], units.strata[chosen])


def _over_tasks(by_task: Float[np.ndarray, "tasks methods"]) -> tuple[np.ndarray, np.ndarray]:
    """Student's interval of the mean over tasks."""
    if len(by_task) < 2:
        return np.full(by_task.shape[1], np.nan), np.full(by_task.shape[1], np.nan)
    error = stats.sem(by_task, axis=0)
    reach = stats.t.ppf(TAILS[1], len(by_task) - 1) * np.where(error > 0, error, np.nan)
    return by_task.mean(0) - reach, by_task.mean(0) + reach


def _behind(samples: Sequence[RankedSample], rank: Float[np.ndarray, " methods"]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """How far each method is behind the first, as a mean over the tables that count, and the ends of its interval."""
    first, parts = int(rank.argmin()), []
    for sample in samples:
        if sample.counts and sample.units.sums.shape[1] > 1:
            gaps = pair_gaps(sample.units, np.array([(first, other) for other in range(len(rank))]))
            parts.append(moments(gaps if sample.higher_is_better is not False else gaps._replace(sums=-gaps.sums)))
    if not parts:
        return (np.full(len(rank), np.nan),) * 3
    mean, variance, skewness, freedom = (np.array(column) for column in zip(*parts, strict=True))
    whole = variance.sum(0) / len(parts) ** 2
    cube = (skewness * variance**1.5).sum(0) / len(parts) ** 3
    known = Moments(mean.mean(0), whole, cube / np.where(whole > 0, whole, 1) ** 1.5, freedom.min(0))
    return known.mean, *t_intervals(known)


def _separated(
    parts: Sequence[Units], rank: Float[np.ndarray, " methods"], covariance: Float[np.ndarray, "methods methods"]
) -> Bool[np.ndarray, "methods methods"]:
    """Pairs whose standardised scores differ, and whose mean ranks do in the same direction.

    Resampled ranks alone give no test: where methods are equal they vary less from resample to resample than from sample to
    sample. Scores alone may differ where ranks hardly do: by a table or two with large differences.

    Args:
        parts: Standardised scores of each task.
        rank: Mean ranks.
        covariance: Of the mean ranks, over resamples.
    """
    result = np.zeros((len(rank), len(rank)), bool)
    if not parts:
        return result
    strata = np.cumsum([0, *(part.strata.max() + 1 for part in parts)])
    sizes = np.concatenate([part.sizes for part in parts])
    together = Units(
        np.concatenate([part.sums for part in parts], 1), sizes,
        np.concatenate([part.strata + start for part, start in zip(parts, strata, strict=False)]), _seeds_together(parts),
    )  # fmt: skip
    tested = paired_differences(together)
    first, second = tested.first, tested.second
    behind = rank[second] - rank[first]
    error = np.sqrt(np.maximum(covariance[first, first] + covariance[second, second] - 2 * covariance[first, second], 0))
    agree = tested.separated & (tested.mean * behind > 0) & (np.abs(behind) > error * ndtri(1 - tested.level / 2))
    result[first[agree], second[agree]] = result[second[agree], first[agree]] = True
    return result


def _standardised(samples: Sequence[RankedSample]) -> Units:
    """The mean over tables of one task of scores in standard deviations, larger is better, weighed as one of the tasks.

    Units are matched by name; a table adds nothing to those that it lacks.
    """
    strata, places = _shared_units(samples)
    rows = len(samples[0].units.sums)
    total, sizes, of_seeds = np.zeros((rows, len(strata))), np.zeros(len(strata)), np.zeros((2, rows))
    for sample, own in zip(samples, places, strict=True):
        units = sample.units
        sizes[own] = np.maximum(sizes[own], units.sizes)
        mean = units.sums.sum(1, keepdims=True) / units.sizes.sum()
        # Of a unit's mean: that of its sum would grow with the clusters, and a task of large ones would hardly count.
        deviation = np.sqrt((units.sums - mean * units.sizes).var(1).mean()) / units.sizes.mean()
        if deviation > 0:
            scale = (-1 if sample.higher_is_better is False else 1) / (deviation * len(samples) * units.sizes.sum())
            total[:, own] += units.sums * scale
            if units.seeds is not None:
                # Another seed is taken to change all tables of the task alike: deviations add up.
                roots = np.stack([np.sqrt(units.seeds.variance), units.seeds.square**0.25])
                of_seeds += roots / deviation / len(samples)
    least = [sample.units.seeds.least for sample in samples if sample.units.seeds is not None]
    seeds = SeedVariance(of_seeds[0] ** 2, of_seeds[1] ** 4, np.min(least, 0)) if of_seeds.any() else None
    return Units(total, sizes / sizes.sum(), strata, seeds)


def _seeds_together(parts: Sequence[Units]) -> SeedVariance | None:
    """What seeds add to the mean over tasks, whose seeds have nothing in common."""
    added = [part.seeds for part in parts if part.seeds is not None]
    if not added:
        return None
    variance, square, _ = np.array(added).sum(0)
    return SeedVariance(variance / len(parts) ** 2, square / len(parts) ** 4, np.min([seeds.least for seeds in added], 0))
