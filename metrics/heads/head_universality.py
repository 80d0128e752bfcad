"""Whether the same heads matter on two tasks.

Variants: `pearson` over all heads; `pearson/within-layers` after subtracting each layer's mean, so that a layer that matters on
every task does not count for its heads.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ...core.errors import NotApplicable
from ..bootstrap import condition_groups
from ..registry import metric
from ..scores import Aggregate, ExplainedCell
from ..summary import summarise_sums
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
    Source: Hao et al. 2021, section 5.2 and figure 6, which gives no intervals; here they are bootstrapped over the instances of
    both cells, each cell and condition by itself. In [-1, 1]; neither end is better.
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
    """Pearson's r of the two cells' mean scores, with its interval: instances are resampled within each cell."""
    flat = [s.reshape(len(s), -1) for s in scores]
    count, size = sum(map(len, flat)), flat[0].shape[1]
    if any(np.ptp(f.mean(0)) <= 1e-12 * np.abs(f).max() for f in flat):
        return Aggregate(variant, np.nan, np.nan, np.nan, 0, count, reason=CONSTANT)
    # Features whose sums give both means: the scores of the first cell, those of the second, and a count of each.
    ones = [np.ones((len(f), 1)) for f in flat]
    rows = [np.concatenate([flat[0], 0 * flat[0], ones[0], 0 * ones[0]], 1)]
    rows += [np.concatenate([0 * flat[1], flat[1], 0 * ones[1], ones[1]], 1)]
    groups = [condition_groups(np.array(cell.conditions)) for cell in cells]

    def statistic(sums: Float[np.ndarray, "*some features"]) -> Float[np.ndarray, "*some 1"]:
        return correlation(sums[..., :size] / sums[..., -2:-1], sums[..., size : 2 * size] / sums[..., -1:])

    features = np.concatenate(rows)
    if min(map(len, flat)) < 2:  # a cell of one instance cannot be resampled
        return Aggregate(variant, float(statistic(features.sum(0))[0]), np.nan, np.nan, count)
    names = [f"{index}/{name}" for index, cell in enumerate(cells) for name in cell.names]
    both = np.concatenate([groups[0], groups[1] + groups[0].max() + 1])
    return summarise_sums((variant,), features, both, statistic, names)[0]


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
