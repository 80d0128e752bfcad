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

CONSTANT = "all scores of every instance are the same."


@metric(
    "stability", scope="cells", reads="tokens", ranked="sd", higher_is_better=False, unit="units of scores", bounds=(0.0, None),
    source="De Cao et al. 2020, section 4.1",
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
        condition_of = dict(sorted(zip(cells[0].names, cells[0].conditions, strict=True)))
        each = np.array([_spread(np.stack([scores[name] for scores in by_name])) for name in condition_of])
        return tuple(_aggregates(each, np.array(list(condition_of.values()))))


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


def _aggregates(each: Float[np.ndarray, "instances two"], conditions: np.ndarray) -> Iterator[Aggregate]:
    """Both variants from each instance's two spreads."""
    live = each[:, 1] > 0
    relative = np.divide(each[:, 0], each[:, 1], out=np.full(len(each), np.nan), where=live)
    means = mean_intervals(np.stack([each[:, 0], relative]), conditions, bounds=(0.0, None)).tolist()
    for variant, (value, low, high), count in zip(("sd", "relative"), means, (len(each), int(live.sum())), strict=True):
        undefined = len(each) - count
        yield Aggregate(variant, value, low, high, count, undefined, reason=CONSTANT if undefined else "")
