"""How much an explanation depends on the seed.

Variants: `sd`, the standard deviation over seeds of each score, averaged (the ranked one); `relative`, the same as a share of the
spread of an instance's scores, for methods whose scores have no common scale.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
from jaxtyping import Float

from ...core.errors import NotApplicable
from ...methods.explanation import Explanation
from ...methods.views import describe_views
from ..registry import metric
from ..scores import Aggregate, ExplainedCell
from ..statistics.intervals import mean_intervals
from ..statistics.units import clusters_of

CONSTANT = "all scores of every instance are the same."


@metric(
    "stability", scope="cells", reads="tokens", ranked="sd", higher_is_better=False, unit="units of scores", bounds=(0.0, None),
    source="De Cao et al. 2020, section 4.1",
    misleads="A method that gives the same wrong scores for every seed is perfectly stable. Standard deviations are in the "
    "units of the scores: compare methods by the variant `relative`.",
)  # fmt: skip
@dataclass(frozen=True)
class Stability:
    """How much scores depend on the seed: their standard deviation over seeds, averaged.

    The standard deviation (n - 1) is taken state by state, of the mask where there is one, else of the nodes, else of the tokens;
    then the mean over an instance's (token, state) pairs, then over instances. The cells are of one method, model and task, and
    differ only in the seed. At least 0; lower is better, though a method that gives everything the same score is stable too:
    `relative` divides by the standard deviation, over the pairs of an instance, of their means over seeds. Source: De Cao et al.
    2020, section 4.1 (5 seeds; .05 for inputs, .03 for hidden states).
    """

    across: ClassVar[Literal["tasks", "seeds"]] = "seeds"

    def compare(self, *cells: ExplainedCell) -> tuple[Aggregate, ...]:
        """Both variants, with the interval of a mean over instances.

        Raises:
            NotApplicable: The explanations have no scores of tokens or states, or the cells have different instances.
        """
        by_name = [dict(zip(cell.names, map(_scores, cell.gold), strict=True)) for cell in cells]
        if any(scores.keys() != by_name[0].keys() for scores in by_name):
            raise NotApplicable("the cells have different instances: run all seeds on the same instances.")
        order, clusters = np.argsort(cells[0].names), np.array(cells[0].clusters or ("",) * len(cells[0].names))
        each = np.array([_spread(np.stack([scores[cells[0].names[n]] for scores in by_name])) for n in order])
        return tuple(_aggregates(each, np.array(cells[0].conditions)[order], clusters[order]))


def _scores(explanation: Explanation) -> Float[np.ndarray, " scores"]:
    """The scores of the finest view of states, as one row; the mean over draws."""
    for name in ("mask", "nodes", "tokens"):
        if name in explanation.views:
            scores: np.ndarray = np.mean([getattr(draw, name) for draw in explanation.each()], 0).ravel()
            return scores
    raise NotApplicable(f"the method gives {describe_views(explanation)}, and no scores of tokens or states.")


def _spread(scores: Float[np.ndarray, "seeds scores"]) -> tuple[float, float]:
    """Mean over scores of the standard deviation over seeds, and standard deviation over scores of the mean over seeds.

    The second is exactly 0 if all means are equal.

    >>> _spread(np.array([[0.0, 1.0], [0.0, 3.0]]))
    (0.7071067811865476, 1.0)
    """
    means = scores.mean(0)
    return float(scores.std(0, ddof=1).mean()), float(means.std()) if np.ptp(means) > 0 else 0.0


def _aggregates(each: Float[np.ndarray, "instances two"], conditions: np.ndarray, clusters: np.ndarray) -> Iterator[Aggregate]:
    """Both variants from each instance's two spreads."""
    live = each[:, 1] > 0
    relative = np.divide(each[:, 0], each[:, 1], out=np.full(len(each), np.nan), where=live)
    means = mean_intervals(np.stack([each[:, 0], relative]), conditions, clusters, (0.0, None)).tolist()
    for variant, (value, low, high), defined in zip(("sd", "relative"), means, (np.full(len(each), True), live), strict=True):
        count, undefined = int(defined.sum()), int((~defined).sum())
        reason, units = CONSTANT if undefined else "", clusters_of(clusters[defined])
        yield Aggregate(variant, value, low, high, count, undefined, reason=reason, clusters=units)
