"""Whether the same heads matter on two tasks.

Variants: `pearson` over all heads; `pearson/within-layers` after subtracting each layer's mean, so that a layer that matters on
every task does not count for its heads.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ...core.errors import NotApplicable
from ..registry import metric
from ..scores import NO_INTERVAL, Aggregate, ExplainedCell
from ..statistics.intervals import jackknife_intervals
from ..statistics.units import Units, clusters_of, sampling_units
from ..summary import STRATUM
from .head_importance import draws_of_heads

CONSTANT = "all heads of a cell have the same importance."
NEEDS = 16
"""Instances a cell from which on the interval covers the correlation of many instances (a test holds this)."""
RELIABLE = 0.7
"""Share of the variance of mean scores over heads that must be more than noise, in both cells, for an interval."""
UNRELIABLE = f"{NO_INTERVAL} heads that differ by more than their scores vary from instance to instance."


@metric(
    "head_universality",
    scope="cells",
    reads="heads",
    ranked="pearson",
    higher_is_better=None,
    unit="Pearson's r",
    bounds=(-1.0, 1.0),
    source="Hao et al. 2021, section 5.2",
    misleads="Two tasks can agree because whole layers matter in both, rather than heads. Few instances pull the value towards "
    "0, which the interval takes into account and the value does not.",
)
@dataclass(frozen=True)
class HeadUniversality:
    """How much head importance on two tasks agrees: Pearson's r over the heads.

    A head's importance on a task is the mean of its score over the task's instances (and draws); r is taken over all L A heads.
    The two cells are of one method, and of one model or of two checkpoints of one architecture, fine-tuned for a task each.
    Source: Hao et al. 2021, section 5.2 and figure 6, which gives no intervals. The value is r of the means at hand, whose noise
    brings it nearer to 0 than that of many instances; the interval is of the latter: the variance of the noise is subtracted
    (Spearman 1904), and the jackknife over the instances of both cells gives the interval, cluster by cluster where they are in
    any. In [-1, 1]; neither end is better.
    """

    def compare(self, first: ExplainedCell, second: ExplainedCell) -> tuple[Aggregate, ...]:
        """Pearson's r over all heads, and within layers.

        Raises:
            NotApplicable: The explanations score no heads, or the models have different numbers of heads.
        """
        scores = [draws_of_heads(cell.gold).mean(1) for cell in (first, second)]
        shapes = [s.shape[1:] for s in scores]
        if shapes[0] != shapes[1]:
            sizes = " and ".join(f"{layers} layers of {heads} heads" for layers, heads in shapes)
            raise NotApplicable(f"the models have {sizes}, so heads do not correspond.")
        within = [s - s.mean(2, keepdims=True) for s in scores]
        return (_pearson("pearson", scores, first, second), _pearson("pearson/within-layers", within, first, second))


def _pearson(variant: str, scores: list[Float[np.ndarray, "_ layers heads"]], *cells: ExplainedCell) -> Aggregate:
    """Pearson's r of the two cells' mean scores, with the interval of the r that many more instances would give."""
    flat = [s.reshape(len(s), -1) for s in scores]
    count = sum(map(len, flat))
    if any(np.ptp(f.mean(0)) <= 1e-12 * np.abs(f).max() for f in flat):
        return Aggregate(variant, np.nan, np.nan, np.nan, 0, count, reason=CONSTANT)
    value = correlation(*(f.mean(0) for f in flat)).item()
    named = [np.array(cell.clusters or ("",) * len(f), str) for cell, f in zip(cells, flat, strict=True)]
    drawn = [
        sampling_units(f.T, np.array(cell.conditions), names, STRATUM) for cell, f, names in zip(cells, flat, named, strict=True)
    ]
    # Clusters of two cells are two even where their names are one: sources are not followed from task to task.
    counted = [clusters_of(names) or len(names) for names in named]
    clusters = sum(counted) if sum(counted) < count else None
    if reason := _no_interval(drawn, "instances" if clusters is None else "clusters"):
        return Aggregate(variant, value, np.nan, np.nan, count, reason=reason, clusters=clusters)
    first, second = drawn
    both = np.concatenate([first.strata, second.strata + first.strata.max() + 1])
    estimates = jackknife_intervals(np.eye(len(both)), both, _Disattenuated(first, second))
    truth, low, high, bias = (part.item() for part in estimates)
    if np.isnan(truth) or (high > low and (low >= 1 or high <= -1)):
        return Aggregate(variant, value, np.nan, np.nan, count, reason=UNRELIABLE, clusters=clusters)
    low, high = np.clip((low, high), -1, 1).tolist()
    return Aggregate(variant, value, low, high, count, bias=value - truth + bias if high > low else None, clusters=clusters)


def _no_interval(drawn: Sequence[Units], what: str) -> str:
    """Why there are too few units for an interval; empty: there are enough."""
    fewest = min(len(units.sizes) for units in drawn)
    if fewest < NEEDS:
        return f"{NO_INTERVAL} {NEEDS} {what} a cell, and there are {fewest}."
    for units in drawn:
        means = units.sums.sum(1) / units.sizes.sum()
        between = ((means - means.mean()) ** 2).sum()
        if 1 - _noise(units).sum() / units.sizes.sum() ** 2 / between < RELIABLE:
            return UNRELIABLE
    return ""


def _noise(units: Units) -> Float[np.ndarray, " units"]:
    """The squared deviation of each unit's sum from what its size and its stratum let expect; unbiased for the variance.

    Scores are centred over heads first.
    """
    centred = units.sums.T - units.sums.mean(0)[:, None]
    rest = centred - units.sizes[:, None] * (centred.sum(0) / units.sizes.sum())
    member = (units.strata == np.arange(units.strata.max() + 1)[:, None]).astype(float)
    size = member.sum(1)
    rest -= (member @ rest / size[:, None])[units.strata]
    square: np.ndarray = (rest**2).sum(1) * (size / (size - 1))[units.strata]
    return square


@dataclass(frozen=True, eq=False)
class _Disattenuated:
    """The r of the true means, from the weights of the units of both cells; noise can take it beyond 1.

    The means of n instances vary over heads by the true variance and that of the mean of the noise, sum w_i^2 q_i / n^2 over
    units, which is subtracted: r = S_xy / sqrt((S_xx - N_x) (S_yy - N_y)) (Spearman 1904).
    """

    first: Units
    second: Units

    def __call__(self, weights: Float[np.ndarray, "*some units"]) -> Float[np.ndarray, "*some 1"]:
        count = len(self.first.sizes)
        x, x_noise = _mean_and_noise(self.first, weights[..., :count])
        y, y_noise = _mean_and_noise(self.second, weights[..., count:])
        left = ((x * x).sum(-1) - x_noise) * ((y * y).sum(-1) - y_noise)
        r: np.ndarray = (x * y).sum(-1) / np.sqrt(np.where(left > 0, left, np.nan))
        return r[..., None]


def _mean_and_noise(
    units: Units, weights: Float[np.ndarray, "*some units"]
) -> tuple[Float[np.ndarray, "*some heads"], Float[np.ndarray, "*some"]]:
    """The weighted mean of each head, centred over heads, and the variance of its noise, summed over heads."""
    count = weights @ units.sizes
    mean = weights @ units.sums.T / count[..., None]
    return mean - mean.mean(-1, keepdims=True), np.asarray(weights**2 @ _noise(units) / count**2)


def correlation(x: Float[np.ndarray, "*some n"], y: Float[np.ndarray, "*some n"]) -> Float[np.ndarray, "*some 1"]:
    """Pearson's r along the last axis, which is kept with length 1.

    >>> correlation(np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 6.0])).round(6).item()
    1.0
    """
    x, y = x - x.mean(-1, keepdims=True), y - y.mean(-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        r = (x * y).sum(-1, keepdims=True) / np.sqrt((x * x).sum(-1, keepdims=True) * (y * y).sum(-1, keepdims=True))
    clipped: np.ndarray = np.clip(r, -1, 1)  # rounding can leave it outside
    return clipped
