"""Paired comparison of methods on the same instances: differences with intervals and p-values, ranks with intervals, ties.

Everything is computed from one table of scores, one row a method and one column an instance.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Int

from ...metrics.scores import count_in_words, without_interval
from ...metrics.statistics.differences import paired_differences
from ...metrics.statistics.intervals import t_intervals
from ...metrics.statistics.ordering import rank_bounds, resampled_means, shares_won
from ...metrics.statistics.sign_flips import ALPHA, pair_gaps
from ...metrics.statistics.units import moments
from ..stored.score_table import ScoreTable


class Difference(NamedTuple):
    """One method against another, on the instances where every ranked method has a score.

    Attributes:
        one, other: The methods; `one` has the larger mean.
        value: mean(one) - mean(other).
        low, high: 95 % interval, of this pair alone.
        low_corrected, high_corrected: Interval of the level at which the pair is tested: corrected over all pairs. It does not
            pass 0 where the pair is separated, and reaches 0 where it is not.
        level: Of Holm's procedure for this pair.
        p, p_holm: Of the sign-flip test, over seeds too where a method has several; the latter corrected over all pairs.
        instances: How many.
        needed: Instances in all that would separate the pair at its level with power 0.8; NaN where it is separated, infinite
            where there is no difference, or one that only more seeds can tell from chance.
        pairs: How many pairs are tested.
        against: Conditions in which the difference has opposite signs, each beyond its own interval, with the differences.
        clusters: How many clusters the instances are in; None where each is by itself.
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
    clusters: int | None = None

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
    units, instances, clusters = scores.units(), int(scores.common.sum()), scores.common_clusters
    tested = paired_differences(units, seed)
    needed = np.ceil(tested.needed * instances / units.sums.shape[1])
    against = _conditions_against(scores, np.stack([tested.first, tested.second], 1))
    columns = (tested.mean, tested.low, tested.high, tested.low_corrected, tested.high_corrected, tested.level, tested.p)
    compared = []
    for index, numbers in enumerate(zip(*(column.tolist() for column in (*columns, tested.p_holm)), strict=True)):
        names = (scores.methods[tested.first[index]], scores.methods[tested.second[index]])
        rest = (instances, float(needed[index]), len(needed), against.get(index, ()), clusters)
        pair = Difference._make((*names, *numbers, *rest))
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
    """The order of methods in one table and how sure it is.

    Attributes:
        methods: Labels.
        rank: By the mean over the common instances, 1 is best, ties share their mean rank.
        low, high: The ranks that the separated pairs leave: all intervals hold at once with 95 %. NaN for one unit.
        beats: [a, b]: share of resamples in which a is better than b (a tie counts half).
    """

    methods: tuple[str, ...]
    rank: Float[np.ndarray, " methods"]
    low: Float[np.ndarray, " methods"]
    high: Float[np.ndarray, " methods"]
    beats: Float[np.ndarray, "methods methods"]


def ranks(scores: ScoreTable, pairs: Sequence[Difference], seed: int = 0) -> Ranks:
    """Ranks on the instances where every method has a score, so that no method gains from leaving out hard ones.

    Args:
        scores: The table.
        pairs: Its differences.
        seed: Of the resamples, which draw instances anew within each condition for all methods at once, and other seeds of
            methods that have several.

    Raises:
        ValueError: No instance has a score of every method.
    """
    if not scores.common.any():
        raise ValueError("no instance has a score of every method.")
    units, seen = scores.units(), scores.order(scores.common_means())
    if units.sums.shape[1] < 2:
        unknown = np.full(len(seen), np.nan)
        return Ranks(scores.methods, seen, unknown, unknown, np.full((len(seen), len(seen)), np.nan))
    low, high = rank_bounds(seen, separated_pairs(scores.methods, pairs))
    return Ranks(scores.methods, seen, low, high, shares_won(scores.order(resampled_means(units, seed))))


def separated_pairs(methods: Sequence[str], pairs: Sequence[Difference]) -> Bool[np.ndarray, "methods methods"]:
    """Which methods are separated, as a symmetric matrix.

    Args:
        methods: In the order of rows and columns.
        pairs: Their differences.
    """
    separated = {frozenset((d.one, d.other)) for d in pairs if d.separated}
    return np.array([[frozenset((a, b)) in separated for b in methods] for a in methods], bool).reshape(len(methods), -1)


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
    start, end = ("(" if d.separated and not low else "["), (")" if d.separated and not high else "]")  # 0 is not in it then
    interval = f"{start}{low:.3g}, {high:.3g}{end}" if low == low else f"[{without_interval(d.instances, clusters=d.clusters)}]"
    size = f"{value:+.3g} {interval}, p = {d.p_holm:.2g}, {count_in_words(d.instances, d.clusters)}"
    if d.pairs > 1:
        size += f", corrected over {d.pairs} pairs"
    if d.against:
        size += f"; the sign differs between conditions: {', '.join(f'{name} {value:+.3g}' for name, value in d.against)}"
    if not d.separated:
        remedy = f"; about {_needed(d)} would separate them" if np.isfinite(d.needed) else ""
        if np.isposinf(d.needed) and d.value:
            remedy = "; more instances alone would not separate them, more seeds might"
        return f"{d.one} and {d.other} cannot be separated on {metric}: {size}{remedy}"
    if higher_is_better is None:
        return f"{d.one} has more {metric} than {d.other}: {size}"
    return f"{d.one} is better than {d.other} on {metric}: {size}"


def _needed(d: Difference) -> str:
    """The instances that would separate a pair, in clusters as large as those that are there."""
    return count_in_words(round(d.needed), None if d.clusters is None else round(d.needed * d.clusters / d.instances))
