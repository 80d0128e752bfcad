"""Whether a method explains the same input twice in the same way.

Variants: `batch`, explained alone instead of beside others (the ranked one); `seed`, explained with other random numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from pydantic import PositiveInt

from ...core.errors import NotApplicable
from ...core.settings import Settings
from ...methods.explanation import Explanation
from ...models.layered import Layered
from ..base import ExplainedBatch
from ..registry import metric
from ..scores import NO_INTERVAL, Aggregate, Scores, frame

ARRAYS = ("tokens", "nodes", "flows", "units", "heads", "edges", "mask")
"""Views that are arrays of scores; patterns are paths, whose words have scores among the tokens."""
DECIMALS = 4
"""Differences below half a unit of the last one are rounding of float32, and count as 0."""
METHOD_MISSING = "it explains some inputs anew, which needs the method itself: score it with `flowgauge run`."
NO_SCORES = "the method gives patterns alone, and no scores."


@metric(
    "repeatability", scope="set", reads="values", ranked="batch", higher_is_better=False, unit="share of the explanation's norm",
    bounds=(0.0, None), source="this suite: the promises that `flowgauge check` tests, as a number",
    misleads="Scores that are wrong in the same way every time have 0, as has a method that gives every word the same score. It "
    "is the largest of a few instances, and may miss the one that moves most.",
)  # fmt: skip
@dataclass(frozen=True)
class Repeatability(Settings):
    """How far an explanation moves when what it must not depend on is changed: the rest of the batch, or the seed.

    max over instances and views of ||a - b|| / ||a||. For `batch`, a are the scores of an instance explained beside the longest
    one of its batch, and b those of the same instance by itself; for `seed`, a are the latter, b those with other random numbers.
    For `seed` a method that is trained is not trained again: `flowgauge run` with several seeds and the metric `stability` do
    that. For the gold answer, rounded to four decimals. At least 0; 0 is best, and no merit by itself.

    Attributes:
        instances: How many are explained anew, spread from the shortest to the longest text, whatever the size of batches.
    """

    instances: PositiveInt = 3

    def score(self, model: Layered, explained: Sequence[ExplainedBatch], reference: Sequence[ExplainedBatch] | None) -> Scores:
        """Both variants; the largest of a few instances, without an interval.

        Raises:
            NotApplicable: The method cannot be run here, or gives patterns alone.
        """
        places = [(index, row) for index, each in enumerate(explained) for row in range(len(each.batch))]
        picked = np.unique(np.linspace(0, len(places) - 1, self.instances).round().astype(int)).tolist()
        moved = [_three_ways(explained[index], row) for index, row in map(places.__getitem__, picked)]
        alone, again, beside = zip(*moved, strict=True)
        reason = f"{NO_INTERVAL} a mean, and this is the largest of {len(picked)} instances."
        values = {"batch": _largest(beside, alone), "seed": _largest(alone, again)}
        return Scores(
            frame([]),
            tuple(Aggregate(name, value, np.nan, np.nan, len(picked), reason=reason) for name, value in values.items()),
        )


def _three_ways(explained: ExplainedBatch, row: int) -> tuple[Explanation, Explanation, Explanation]:
    """An instance explained by itself, by itself with other random numbers, and beside the longest text of its batch.

    Raises:
        NotApplicable: The method cannot be run here.
    """
    if explained.explain is None:
        raise NotApplicable(METHOD_MISSING)
    batch, last = explained.batch, len(explained.batch) - 1
    other = last if row < last else 0
    single, pair = (batch.rows(torch.tensor(index, device=batch.ids.device)) for index in ([row], [row, other]))
    single, pair = (part.only(part.attention_mask) for part in (single, pair))
    (alone,) = explained.explain(single)
    (again,) = explained.explain(replace(single, names=(f"{single.names[0]}, drawn again",)))
    return alone, again, explained.explain(pair if len(batch) > 1 else single)[0]


def _largest(one: Sequence[Explanation], other: Sequence[Explanation]) -> float:
    """The largest relative distance between two explanations of an instance.

    Raises:
        NotApplicable: They have no scores.
    """
    distances = [
        relative_distance(_scores(a, view), _scores(b, view))
        for a, b in zip(one, other, strict=True)
        for view in ARRAYS
        if view in a.views and view in b.views
    ]
    if not distances:
        raise NotApplicable(NO_SCORES)
    return round(max(distances), DECIMALS)


def _scores(explanation: Explanation, view: str) -> Float[np.ndarray, " scores"]:
    """A view as one row, with its draws one after another."""
    return np.concatenate([np.asarray(getattr(draw, view), dtype=float).ravel() for draw in explanation.each()])


def relative_distance(one: Float[np.ndarray, " scores"], other: Float[np.ndarray, " scores"]) -> float:
    """||one - other|| / ||one||; 0 where both are 0.

    >>> relative_distance(np.array([3.0, 4.0]), np.array([3.0, 3.0])), relative_distance(np.zeros(2), np.zeros(2))
    (0.2, 0.0)
    """
    norm, distance = float(np.linalg.norm(one)), float(np.linalg.norm(one - other))
    return distance / norm if norm else (np.inf if distance else 0.0)
