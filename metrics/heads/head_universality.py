"""Whether the same heads matter on two tasks.

Variants: `pearson` over all heads; `pearson/within-layers` after subtracting each layer's mean, so that a layer that matters on
every task does not count for its heads.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ...core.errors import NotApplicable
from ..registry import metric
from ..scores import NO_INTERVAL, Aggregate, ExplainedCell
from ..statistics.intervals import jackknife_intervals
from ..statistics.units import strata_of
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
)
@dataclass(frozen=True)
class HeadUniversality:
    """How much head importance on two tasks agrees: Pearson's r over the heads.

    A head's importance on a task is the mean of its score over the task's instances (and draws); r is taken over all L A heads.
    The two cells are of one method, and of one model or of two checkpoints of one architecture, fine-tuned for a task each.
    Source: Hao et al. 2021, section 5.2 and figure 6, which gives no intervals. The value is r of the means at hand, whose noise
    brings it nearer to 0 than that of many instances; the interval is of the latter: the variance of the noise is subtracted
    (Spearman 1904), and the jackknife over the instances of both cells gives the interval. In [-1, 1]; neither end is better.
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
    strata = [strata_of(np.array(cell.conditions), STRATUM) for cell in cells]
    if reason := _no_interval(flat, strata):
        return Aggregate(variant, value, np.nan, np.nan, count, reason=reason)
    agreement = _Disattenuated(*flat, *(_noise(f, s) for f, s in zip(flat, strata, strict=True)))
    both = np.concatenate([strata[0], strata[1] + strata[0].max() + 1])
    truth, low, high, bias = (part.item() for part in jackknife_intervals(np.eye(count), both, agreement))
    if np.isnan(truth) or (high > low and (low >= 1 or high <= -1)):
        return Aggregate(variant, value, np.nan, np.nan, count, reason=UNRELIABLE)
    low, high = np.clip((low, high), -1, 1).tolist()
    return Aggregate(variant, value, low, high, count, bias=value - truth + bias if high > low else None)


def _no_interval(flat: list[Float[np.ndarray, "_ heads"]], strata: list[np.ndarray]) -> str:
    """Why instances are too few for an interval; empty: they are not."""
    fewest = min(map(len, flat))
    if fewest < NEEDS:
        return f"{NO_INTERVAL} {NEEDS} instances a cell, and there are {fewest}."
    for scores, stratum in zip(flat, strata, strict=True):
        means = scores.mean(0)
        between = ((means - means.mean()) ** 2).sum()
        if 1 - _noise(scores, stratum).sum() / len(scores) ** 2 / between < RELIABLE:
            return UNRELIABLE
    return ""


def _noise(scores: Float[np.ndarray, "instances heads"], strata: np.ndarray) -> Float[np.ndarray, " instances"]:
    """The squared deviation of each instance from the mean of its stratum, centred over heads; unbiased for the variance."""
    centred = scores - scores.mean(1, keepdims=True)
    member = (strata == np.arange(strata.max() + 1)[:, None]).astype(float)
    size = member.sum(1)
    rest = centred - (member @ centred / size[:, None])[strata]
    square: np.ndarray = (rest**2).sum(1) * (size / (size - 1))[strata]
    return square


@dataclass(frozen=True, eq=False)
class _Disattenuated:
    """The r of the true means, from the weights of the instances of both cells; noise can take it beyond 1.

    The means of n instances vary over heads by the true variance and that of the mean of the noise, sum w_i^2 q_i / n^2, which
    is subtracted: r = S_xy / sqrt((S_xx - N_x) (S_yy - N_y)) (Spearman 1904).
    """

    x: Float[np.ndarray, "first heads"]
    y: Float[np.ndarray, "second heads"]
    x_noise: Float[np.ndarray, " first"]
    y_noise: Float[np.ndarray, " second"]

    def __call__(self, weights: Float[np.ndarray, "*some instances"]) -> Float[np.ndarray, "*some 1"]:
        first, second = weights[..., : len(self.x)], weights[..., len(self.x) :]
        x, x_noise = _mean_and_noise(self.x, self.x_noise, first)
        y, y_noise = _mean_and_noise(self.y, self.y_noise, second)
        left = ((x * x).sum(-1) - x_noise) * ((y * y).sum(-1) - y_noise)
        r: np.ndarray = (x * y).sum(-1) / np.sqrt(np.where(left > 0, left, np.nan))
        return r[..., None]


def _mean_and_noise(
    scores: Float[np.ndarray, "instances heads"],
    noise: Float[np.ndarray, " instances"],
    weights: Float[np.ndarray, "*some instances"],
) -> tuple[Float[np.ndarray, "*some heads"], Float[np.ndarray, "*some"]]:
    """The weighted mean of each head, centred over heads, and the variance of its noise, summed over heads."""
    count = weights.sum(-1)
    mean = weights @ scores / count[..., None]
    return mean - mean.mean(-1, keepdims=True), np.asarray(weights**2 @ noise / count**2)


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
