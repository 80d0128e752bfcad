"""Whether a mask keeps the words that are needed: its agreement with the smallest sets of words that keep the output.

Variants, of the set that the mask keeps (P > 1/2): `f1` (ranked), `precision`, `recall` against the smallest set closest to it,
`mean/*` the same averaged over all smallest sets, `optimal` and `l0`. Of the k words that token scores rank first, k the size of
the smallest sets: `top/f1`, `top/optimal`. Of the smallest sets: `size`, `none_needed`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float
from pydantic import PositiveFloat

from ...core.errors import NotApplicable
from ...core.settings import Settings
from ...methods.explanation import Explanation
from ...methods.perturbation.exact_erasure import Criterion
from ...methods.views import token_scores, word_mask
from ...models.flow.flow_model import FlowModel
from ..base import ExplainedBatch, Scores, frame
from ..registry import metric

MASK_VARIANTS = ("f1", "precision", "recall", "mean/f1", "mean/precision", "mean/recall", "optimal", "l0")
TOP_VARIANTS = ("top/f1", "top/optimal")
Words = Bool[np.ndarray, " words"]
Sets = Bool[np.ndarray, "sets words"]


class Overlap(NamedTuple):
    """Agreement of one set of words with each of several sets."""

    precision: Float[np.ndarray, " sets"]
    recall: Float[np.ndarray, " sets"]
    f1: Float[np.ndarray, " sets"]


@metric(
    "optimality", reads="mask", ranked="f1", higher_is_better=True, unit="F1 of words", bounds=(0.0, 1.0), version=2,
    source="De Cao et al. 2020, table 2", reference="exact-erasure",
    misleads="The sets are smallest for one way of replacing words, one criterion and one margin. Where no word is needed, an "
    "empty mask scores 1. With criterion=prediction masks that keep the output to a margin are held against sets that keep the "
    "class alone, which are smaller, so that they lose precision.",
)  # fmt: skip
@dataclass(frozen=True)
class Optimality(Settings):
    """How well the words a mask keeps are those of the smallest sets that keep the output, by exact search.

    The sets are those of `exact-erasure` with the same `criterion` and `margin`. A word is kept where P > 1/2 in the mask of the
    words: at depth 0, or, of masks that act on the words at every depth, at the last one. Precision, recall and F1 are a
    sentence's own, against the closest of the smallest sets, averaged over sentences; `mean/*` averages over the smallest sets
    first. `optimal`: the set is one of the smallest, so it meets the criterion when `exact-erasure` replaces the removed words.
    `l0` is the share of words kept. Where no word is needed (`none_needed`; the smallest set is empty), recall is 1, and
    precision and F1 are 1 if none is kept, else 0. All for the predicted answer, over the words that may be masked. In [0, 1];
    higher is better, but for `l0`. Source: De Cao et al. 2020, section 4 and table 2, which leave the criterion, the threshold
    and the choice among several smallest sets open.

    Attributes:
        criterion: What a set of words must keep: `divergence`, the output up to `margin`, as masks of that margin do; or
            `prediction`, the largest output, whatever margin a mask was made for.
        margin: Divergence (nats) that a set of words may cost. A mask that states another margin is not applicable, and so is one
            that keeps the prediction alone.
    """

    criterion: Criterion = "divergence"
    margin: PositiveFloat = 0.1

    @property
    def reference(self) -> str:
        """The method, with its settings, whose sets the masks are held against."""
        if self.criterion == "prediction":
            return "exact-erasure:criterion=prediction"
        return "exact-erasure" if self.margin == Optimality.margin else f"exact-erasure:margin={self.margin!r}"

    def score(self, model: FlowModel, explained: Sequence[ExplainedBatch], reference: Sequence[ExplainedBatch] | None) -> Scores:
        """One score row for each instance, variant and draw.

        Raises:
            NotApplicable: There are no sets of this criterion and margin, or a mask is of another margin.
        """
        if reference is None:
            raise NotApplicable(f"the smallest sets are those of {self.reference}, which has not explained them: run it too.")
        rows: list[dict[str, Any]] = []
        for batch, matched in zip(explained, reference, strict=True):
            free = (model.maskable(batch.batch) & batch.batch.attention_mask).cpu().numpy()
            for case in batch.draws("predicted"):
                sets = self._sets(matched.predicted[case.row])
                self._check_margin(case.explanation)
                free_row = free[case.row, : sets.shape[1]]
                rows += case.score_rows(_scores(case.explanation, sets[:, free_row], free_row))
        return Scores(frame(rows))

    def _sets(self, exact: Explanation) -> Sets:
        """The smallest sets of an explanation by exact erasure, if they are of this criterion and margin."""
        if exact.sets is None:
            raise NotApplicable("the stored explanations of exact-erasure hold no sets: run exact-erasure again.")
        if not self._agrees(exact.values.get("margin")):
            raise NotApplicable(f"the stored sets are not those of {self.reference}: run it too.")
        return exact.sets

    def _agrees(self, margin: float | None) -> bool:
        """Whether sets or masks of a margin (None: of the prediction) answer this metric's question."""
        if self.criterion == "prediction" or margin is None:
            return self.criterion == "prediction" and margin is None
        return math.isclose(margin, self.margin, rel_tol=1e-5)  # masks state theirs in float32

    def _check_margin(self, explanation: Explanation) -> None:
        """Refuses masks that were made for another margin, or by exact search for the prediction."""
        if self.criterion == "prediction":
            return
        margin = explanation.values.get("margin")
        if margin is not None and not self._agrees(margin):
            raise NotApplicable(
                f"the mask may cost {margin:.3g} nats, and the smallest sets are those of {self.margin:.3g}: score it by "
                f"optimality:margin={margin:.6g}."
            )
        if margin is None and explanation.sets is not None:
            raise NotApplicable("the mask keeps the prediction and has no margin: score it by optimality:criterion=prediction.")


def _scores(explanation: Explanation, sets: Sets, free: Bool[np.ndarray, " tokens"]) -> dict[str, tuple[float, str]]:
    """The value of each variant, or NaN and why it is undefined."""
    variants = {"size": (float(sets[0].sum()), ""), "none_needed": (float(not sets[0].any()), "")}
    if explanation.mask is None:
        variants |= dict.fromkeys(MASK_VARIANTS, (np.nan, "the method gives no mask."))
    else:
        variants |= {name: (value, "") for name, value in of_mask(kept_words(explanation)[free], sets).items()}
    if explanation.tokens is None:
        return variants | dict.fromkeys(TOP_VARIANTS, (np.nan, "the method gives no token scores."))
    if not sets[0].any():
        return variants | dict.fromkeys(TOP_VARIANTS, (np.nan, "no word is needed."))
    top = first_words(token_scores(explanation)[free], int(sets[0].sum()))
    best, exact = float(overlap(top, sets).f1.max()), float((sets == top).all(1).any())
    return variants | {"top/f1": (best, ""), "top/optimal": (exact, "")}


def kept_words(explanation: Explanation) -> Words:
    """Which words the mask of an explanation keeps: those with P(keep) above 1/2.

    >>> kept_words(Explanation(mask=np.array([[0.9, 0.2], [0.1, 0.8]])))
    array([ True, False])
    """
    kept: np.ndarray = word_mask(explanation) > 0.5
    return kept


def first_words(scores: Float[np.ndarray, " words"], count: int) -> Words:
    """Which words have the `count` largest scores; earlier words first on ties.

    >>> first_words(np.array([1.0, 3.0, 3.0]), 1)
    array([False,  True, False])
    """
    chosen = np.zeros(len(scores), bool)
    chosen[np.argsort(-scores, kind="stable")[:count]] = True
    return chosen


def overlap(kept: Words, sets: Sets) -> Overlap:
    """Precision, recall and F1 of a set of words against each of several sets.

    Two empty sets agree (all are 1). Against an empty set, recall is 1; an empty set has precision 0 against words.

    >>> overlap(np.array([True, True, False]), np.array([[True, False, False], [False, False, True]]))
    Overlap(precision=array([0.5, 0. ]), recall=array([1., 0.]), f1=array([0.66666667, 0.        ]))
    """
    both, kept_count, set_count = (kept & sets).sum(1), np.full(len(sets), kept.sum()), sets.sum(1)

    def share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
        return np.where(whole > 0, part / np.maximum(whole, 1), 1.0)

    precision = np.where((kept_count == 0) & (set_count > 0), 0.0, share(both, kept_count))
    return Overlap(precision, share(both, set_count), share(2 * both, kept_count + set_count))


def of_mask(kept: Words, sets: Sets) -> dict[str, float]:
    """Every variant of the set of words that a mask keeps.

    >>> of_mask(np.array([True, False]), np.array([[True, False], [False, True]]))["optimal"]
    1.0
    """
    each = overlap(kept, sets)
    closest = int(each.f1.argmax())
    scores = {name: float(values[closest]) for name, values in each._asdict().items()}
    scores |= {f"mean/{name}": float(values.mean()) for name, values in each._asdict().items()}
    return {**scores, "optimal": float((sets == kept).all(1).any()), "l0": float(kept.mean()) if len(kept) else 1.0}
