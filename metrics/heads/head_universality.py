"""Whether the same heads matter on two tasks.

Variants: `pearson` over all heads; `pearson/within-layers` with each layer's mean taken off first, so that layers that matter on
every task do not pass for heads that do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ...core.errors import NotApplicable
from ..bootstrap import condition_groups, interval
from ..registry import metric
from ..scores import Aggregate, ExplainedCell
from .head_importance import draws_of_heads

CONSTANT = "all heads of a cell have the same importance."


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
    Source: Hao et al. 2021, section 5.2 and figure 6, which gives no intervals; ours are bootstrapped over the instances of both
    cells, each cell and condition apart. In [-1, 1]; neither end is better.
    """

    def compare(self, one: ExplainedCell, other: ExplainedCell) -> tuple[Aggregate, ...]:
        """r over all heads and within layers.

        Raises:
            NotApplicable: Heads cannot be ranked, or the models have not the same heads.
        """
        scores = [draws_of_heads(cell.gold).mean(1) for cell in (one, other)]
        shapes = [s.shape[1:] for s in scores]
        if shapes[0] != shapes[1]:
            sizes = " and ".join(f"{layers} layers of {heads} heads" for layers, heads in shapes)
            raise NotApplicable(f"the models have {sizes}, which do not correspond.")
        within = [s - s.mean(2, keepdims=True) for s in scores]
        return (_pearson("pearson", scores, one, other), _pearson("pearson/within-layers", within, one, other))


def _pearson(variant: str, scores: list[Float[np.ndarray, "_ layers heads"]], *cells: ExplainedCell) -> Aggregate:
    """r of the two means; the sums that it is made of are resampled within each cell."""
    flat = [s.reshape(len(s), -1) for s in scores]
    count, size = sum(map(len, flat)), flat[0].shape[1]
    if any(np.ptp(f.mean(0)) <= 1e-12 * np.abs(f).max() for f in flat):
        return Aggregate(variant, np.nan, np.nan, np.nan, 0, count, reason=CONSTANT)
    ones = [np.ones((len(f), 1)) for f in flat]
    rows = [np.concatenate([flat[0], 0 * flat[0], ones[0], 0 * ones[0]], 1)]
    rows += [np.concatenate([0 * flat[1], flat[1], 0 * ones[1], ones[1]], 1)]
    groups = [condition_groups(np.array(cell.conditions)) for cell in cells]

    def statistic(sums: Float[np.ndarray, "*some features"]) -> Float[np.ndarray, "*some 1"]:
        return correlation(sums[..., :size] / sums[..., -2:-1], sums[..., size : 2 * size] / sums[..., -1:])

    features = np.concatenate(rows)
    if min(map(len, flat)) < 2:  # a cell of one instance cannot be resampled
        return Aggregate(variant, float(statistic(features.sum(0))[0]), np.nan, np.nan, count)
    found = interval(features, np.concatenate([groups[0], groups[1] + groups[0].max() + 1]), statistic)
    return Aggregate(variant, float(found.value[0]), float(found.low[0]), float(found.high[0]), count)


def correlation(x: Float[np.ndarray, "*some n"], y: Float[np.ndarray, "*some n"]) -> Float[np.ndarray, "*some 1"]:
    """Pearson's r along the last axis, which stays.

    >>> correlation(np.array([1.0, 2.0, 3.0]), np.array([2.0, 4.0, 6.0])).round(6).item()
    1.0
    """
    x, y = x - x.mean(-1, keepdims=True), y - y.mean(-1, keepdims=True)
    with np.errstate(invalid="ignore", divide="ignore"):
        found = (x * y).sum(-1, keepdims=True) / np.sqrt((x * x).sum(-1, keepdims=True) * (y * y).sum(-1, keepdims=True))
    r: np.ndarray = np.clip(found, -1, 1)
    return r
