"""Aggregates of score rows: the mean of each variant with its interval."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import pandas as pd
from jaxtyping import Float

from .scores import NO_INTERVAL, Aggregate
from .statistics.intervals import Bounds, Statistic, jackknife_intervals, mean_intervals
from .statistics.units import clusters_of, sampling_units

RATIO_NEEDS = 12
"""Instances (or clusters) of equal weight that the interval of a ratio of sums needs (a test holds this)."""
OUTSIDE = f"{NO_INTERVAL} more instances: that of these lies outside the possible values."
STRATUM = 8
"""Instances (or clusters) that a condition needs to be a stratum of a statistic that is no mean."""


class Drawn(Protocol):
    """What is known of how an instance was drawn: its group and its source, as `Instance` describes them."""

    @property
    def condition(self) -> str:
        """The group that intervals are stratified by."""
        ...

    @property
    def cluster(self) -> str:
        """The source that it shares with others, empty where it is in none."""
        ...


def summarise(rows: pd.DataFrame, bounds: Bounds = (None, None)) -> tuple[Aggregate, ...]:
    """The mean of every variant over instances, draws averaged within an instance first, in order of first appearance.

    The interval is that of `intervals.mean_intervals`, each condition as a stratum, over clusters where there are any. `sd_draws`
    is the standard deviation (n - 1) over draws of a draw's mean. Undefined instances (NaN in every draw) are counted with their
    most common reason.

    Args:
        rows: With the columns of `scores.COLUMNS`.
        bounds: Of the metric.

    Returns:
        One aggregate a variant; none where there are no rows.
    """
    if not len(rows):
        return ()
    table = _Table(rows)
    means = table.instance_means()
    counts = (~np.isnan(means)).sum(1).tolist()
    bounded = mean_intervals(means, table.conditions, table.clusters, bounds)
    units = [clusters_of(table.clusters[defined]) for defined in ~np.isnan(means)]
    every = enumerate(zip(*bounded.T.tolist(), counts, units, strict=True))
    return tuple(table.aggregate(variant, *numbers) for variant, numbers in every)


def summarise_sums(
    variants: Sequence[str],
    features: Float[np.ndarray, "instances features"],
    instances: Sequence[Drawn],
    statistic: Statistic,
    bounds: Bounds = (None, None),
    undefined: int = 0,
    reason: str = "",
    needs: int = 2,
    weights: Float[np.ndarray, " instances"] | None = None,
) -> tuple[Aggregate, ...]:
    """Statistics of sums over instances, such as a ratio of two sums, with the intervals of `intervals.jackknife_intervals`.

    Conditions with fewer than `STRATUM` instances are one stratum. Where instances are in clusters, these are left out whole.

    Args:
        variants: The name of each statistic.
        features: What is summed over instances.
        instances: The instances, with condition and cluster.
        statistic: Maps sums to statistics.
        bounds: Smallest and largest possible value.
        undefined: How many further instances have no features.
        reason: Why they have none.
        needs: Instances, or clusters where they are in any, from which on the interval covers the truth as often as it says; with
            fewer there is none.
        weights: How much each instance counts, such as the denominator of a ratio: few that count most are worth fewer.
    """
    count, names = len(features), np.array([instance.cluster for instance in instances], str)
    conditions, clusters = np.array([instance.condition for instance in instances], str), clusters_of(names)
    weighed = features if weights is None else np.concatenate([features, weights[:, None]], 1)
    units = sampling_units(weighed.T, conditions, names, STRATUM)
    estimates = jackknife_intervals(units.sums.T[:, : features.shape[1]], units.strata, statistic)
    low, high = (np.clip(end, *bounds) if bounds != (None, None) else end for end in (estimates.low, estimates.high))
    outside = (low >= high) & (estimates.low < estimates.high)
    low, high = (np.where(outside, np.nan, end) for end in (low, high))
    drawn = len(units.sizes)
    worth = drawn if weights is None else _worth(units.sums[-1])
    if drawn > 1 and worth < needs:
        low, high = np.full_like(low, np.nan), np.full_like(high, np.nan)
        there = f"there are {drawn}" if worth == drawn else f"the {drawn} are worth {worth:.1f} of equal weight"
        what = "instances" if clusters is None else "clusters"
        reason, outside = _joined(reason, f"{NO_INTERVAL} {needs} {what}, and {there}."), np.zeros_like(outside)
    reasons = [_joined(reason, OUTSIDE) if is_outside else reason for is_outside in outside.tolist()]
    biases = [bias if bias and np.isfinite(bias) else None for bias in estimates.bias.tolist()]
    columns = (part.tolist() for part in (estimates.value, low, high))
    return tuple(
        Aggregate(variant, value, low, high, count, undefined, reason=reason, bias=bias, clusters=clusters)
        for variant, value, low, high, bias, reason in zip(variants, *columns, biases, reasons, strict=True)
    )


def _joined(reason: str, further: str) -> str:
    """Two reasons as one sentence; the first may be empty."""
    return "; ".join(filter(None, (reason.rstrip("."), further)))


def _worth(weights: Float[np.ndarray, " units"]) -> float:
    """Kish's effective number of units (1965, section 11.7), times its share of all.

    With skewed weights a ratio is farther from normal than as many units of equal weight would make it: its skewness, too,
    counts the weights.

    >>> _worth(np.ones(16)), _worth(np.array([1.0, 0.0]))
    (16.0, 0.5)
    """
    effective = weights.sum() ** 2 / (weights**2).sum()
    return float(effective**2 / len(weights))


class _Table:
    """Score rows as arrays: the variant, instance and draw of each row as indices."""

    def __init__(self, rows: pd.DataFrame) -> None:
        self.variant, self.variants = pd.factorize(rows["variant"])
        self.instance, names = pd.factorize(rows["instance"], sort=True)
        self.draw = rows["draw"].to_numpy()
        self.value = rows["value"].to_numpy(float)
        self.reasons = rows["reason"]
        self.defined = ~np.isnan(self.value)
        self.size = len(names)
        first = np.unique(self.instance, return_index=True)[1]
        self.conditions = rows["condition"].fillna("").to_numpy(str)[first]
        self.clusters = rows["cluster"].fillna("").to_numpy(str)[first]

    def instance_means(self) -> np.ndarray:
        """(variants, instances): mean over the draws that are defined, NaN where there is none."""
        shape = (len(self.variants), self.size)
        entry = self.variant * self.size + self.instance
        total = np.bincount(entry, np.where(self.defined, self.value, 0), shape[0] * shape[1])
        count = np.bincount(entry, self.defined, shape[0] * shape[1])
        return np.divide(total, count, out=np.full_like(total, np.nan), where=count > 0).reshape(shape)

    def aggregate(self, variant: int, value: float, low: float, high: float, count: int, clusters: int | None) -> Aggregate:
        """The summary of a variant, given by its index."""
        rows = self.variant == variant
        undefined = len(np.unique(self.instance[rows])) - count
        reason = str(self.reasons[rows & ~self.defined].mode().iloc[0]) if undefined else ""
        return Aggregate(
            variant=str(self.variants[variant]),
            value=value,
            low=low,
            high=high,
            count=count,
            undefined=undefined,
            sd_draws=self._sd_draws(rows & self.defined),
            reason=reason,
            clusters=clusters,
        )

    def _sd_draws(self, rows: np.ndarray) -> float | None:
        """Standard deviation (n - 1) over draws of each draw's mean; None for a single draw."""
        draws, draw = np.unique(self.draw[rows], return_inverse=True)
        if len(draws) < 2:
            return None
        return float((np.bincount(draw, self.value[rows]) / np.bincount(draw)).std(ddof=1))
