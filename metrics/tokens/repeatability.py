"""Whether a method explains the same input twice in the same way.

Variants: `batch`, explained alone instead of beside others (the ranked one); `seed`, explained with other random numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float
from pydantic import PositiveInt

from ...core.errors import NotApplicable
from ...core.settings import Settings
from ...methods.explanation import Explanation
from ...models.batch import Batch
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

    max over instances and views of ||a - b|| / ||a||, with a the scores of an instance explained in a batch with the others and b
    those of the same instance explained alone without padding (`batch`), or in the batch with other random numbers (`seed`).
    For `seed` a method that is trained is not trained again: `flowgauge run` with several seeds and the metric `stability` do
    that. For the gold answer, rounded to four decimals. At least 0; 0 is best, and no merit by itself.

    Attributes:
        instances: How many are explained anew, spread over the batch with the longest texts.
    """

    instances: PositiveInt = 3

    def score(self, model: Layered, explained: Sequence[ExplainedBatch], reference: Sequence[ExplainedBatch] | None) -> Scores:
        """Both variants; the largest of a few instances, without an interval.

        Raises:
            NotApplicable: The method cannot be run here, or gives patterns alone.
        """
        last = explained[len(explained) - 1]
        if last.explain is None:
            raise NotApplicable(METHOD_MISSING)
        picked = np.unique(np.linspace(0, len(last.batch) - 1, self.instances).round().astype(int))
        rows = last.batch.rows(torch.as_tensor(picked, device=last.batch.ids.device))
        beside = last.explain(rows)
        again = last.explain(replace(rows, names=tuple(f"{name}, drawn again" for name in rows.names)))
        alone = [explanation for each in _apart(rows, last.explain) for explanation in each]
        reason = f"{NO_INTERVAL} a mean, and this is the largest of {len(picked)} instances."
        values = {"batch": _largest(beside, alone), "seed": _largest(beside, again)}
        return Scores(
            frame([]),
            tuple(Aggregate(name, value, np.nan, np.nan, len(picked), reason=reason) for name, value in values.items()),
        )


def _apart(rows: Batch, explain: Callable[[Batch], list[Explanation]]) -> Iterator[list[Explanation]]:
    """The explanation of each row, explained by itself and without padding."""
    for row in range(len(rows)):
        single = rows.rows(torch.tensor([row], device=rows.ids.device))
        yield explain(single.only(single.attention_mask))


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
