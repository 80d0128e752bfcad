"""Paired comparison of methods on the same instances: differences with intervals and p-values, ranks with intervals, ties.

Everything is computed from one table of scores, one row a method and one column an instance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from ...metrics.bootstrap import condition_groups, resampled_sums
from ...metrics.scores import without_interval
from ...metrics.statistics.differences import paired_differences
from ...metrics.statistics.intervals import t_intervals
from ...metrics.statistics.sign_flips import ALPHA, pair_gaps
from ...metrics.statistics.units import moments
from ..stored.score_table import ScoreTable

TAILS = (0.025, 0.975)


class Difference(NamedTuple):
    """One method against another, on the instances where every ranked method has a score.

    Attributes:
        one, other: The methods; `one` has the larger mean.
        value: mean(one) - mean(other).
        low, high: 95 % interval, of this pair alone.
        low_corrected, high_corrected: Interval of the level at which the pair is tested: corrected over all pairs. It does not
            pass 0 where the pair is separated, and reaches 0 where it is not.
        level: Of Holm's procedure for this pair.
        p, p_holm: Of the sign-flip test; the latter corrected over all pairs.
        instances: How many.
        needed: Instances in all that would separate the pair at its level with power 0.8; NaN where it is separated.
        pairs: How many pairs are tested.
        against: Conditions in which the difference has opposite signs, each beyond its own interval, with the differences.
    """

    one: str
    other: str
    value: float
    low: float
    high: float
    low_corrected: float
    high_corrected: float
    level: float
    p: float
    p_holm: float
    instances: int
    needed: float
    pairs: int = 1
    against: tuple[tuple[str, float], ...] = ()

    @property
    def separated(self) -> bool:
        """Whether the corrected p-value is below 0.05."""
        return self.p_holm < ALPHA

    def swapped(self) -> Difference:
        """The same difference, with the other method named first."""
        return self._replace(
            one=self.other, other=self.one, value=-self.value, low=-self.high, high=-self.low,
            low_corrected=-self.high_corrected, high_corrected=-self.low_corrected,
            against=tuple((name, -value) for name, value in self.against),
        )  # fmt: skip


def differences(scores: ScoreTable, seed: int = 0) -> list[Difference]:
    """Every pair of methods, the larger mean first, in the order of `itertools.combinations`.

    On the instances where every method has a score, which ranks rest on too.

    Args:
        scores: The table.
        seed: Of the flips of signs.
    """
    units, instances = scores.units(), int(scores.common.sum())
    tested = paired_differences(units, seed)
    needed = np.ceil(tested.needed * instances / units.sums.shape[1])
    against = _conditions_against(scores, np.stack([tested.first, tested.second], 1))
    columns = (tested.mean, tested.low, tested.high, tested.low_corrected, tested.high_corrected, tested.level, tested.p)
    compared = []
    for index, numbers in enumerate(zip(*(column.tolist() for column in (*columns, tested.p_holm)), strict=True)):
        names = (scores.methods[tested.first[index]], scores.methods[tested.second[index]])
        pair = Difference._make((*names, *numbers, instances, float(needed[index]), len(needed), against.get(index, ())))
        compared.append(pair.swapped() if pair.value < 0 else pair)
    return compared


def _conditions_against(scores: ScoreTable, pairs: Int[np.ndarray, "pairs 2"]) -> dict[int, tuple[tuple[str, float], ...]]:
    """Of each pair whose difference has opposite signs in two conditions, these conditions with the differences in them."""
    conditions = np.array(scores.conditions)
    signs: dict[int, list[tuple[str, float]]] = {}
    for name in dict.fromkeys(scores.conditions):
        units = replace(scores, values=np.where(conditions == name, scores.values, np.nan)).units()
        if units.sums.shape[1] > 1:
            known = moments(pair_gaps(units, pairs))
            low, high = t_intervals(known)
            for index in np.flatnonzero((low > 0) | (high < 0)).tolist():
                signs.setdefault(index, []).append((name, float(known.mean[index])))
    return {index: tuple(of) for index, of in signs.items() if min(of, key=_value)[1] < 0 < max(of, key=_value)[1]}


def _value(item: tuple[str, float]) -> float:
    return item[1]


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
    if higher_is_better is False:
        d = d.swapped()  # the better one first, so that the sign says which way better is
    value, low, high = (round(x, 9) + 0.0 for x in (d.value, d.low_corrected, d.high_corrected))  # what rounding left of 0 is 0
    interval = f"{low:.3g}, {high:.3g}" if low == low else without_interval(d.instances)
    size = f"{value:+.3g} [{interval}], p = {d.p_holm:.2g}, {d.instances} instance{'s' if d.instances != 1 else ''}"
    if d.pairs > 1:
        size += f", corrected over {d.pairs} pairs"
    if d.against:
        size += f"; the sign differs between conditions: {', '.join(f'{name} {value:+.3g}' for name, value in d.against)}"
    if not d.separated:
        remedy = f"; about {d.needed:.0f} instances would separate them" if np.isfinite(d.needed) else ""
        return f"{d.one} and {d.other} cannot be separated on {metric}: {size}{remedy}"
    if higher_is_better is None:
        return f"{d.one} has more {metric} than {d.other}: {size}"
    return f"{d.one} is better than {d.other} on {metric}: {size}"
