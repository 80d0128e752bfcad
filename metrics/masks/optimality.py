"""Whether a mask keeps the words that are needed: its agreement with the smallest sets of words that keep the prediction.

Variants, of the set that the mask keeps (P > 1/2): `f1` (ranked), `precision`, `recall` against the smallest set closest to it,
`mean/*` the same averaged over all smallest sets, `optimal` and `l0`. Of the k words that token scores rank first, k the size of
the smallest sets: `top/f1`, `top/optimal`. Of the smallest sets: `size`, `none_needed`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from ...core.errors import NotApplicable
from ...methods.explanation import Explanation
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
    "optimality", reads="mask", ranked="f1", higher_is_better=True, unit="F1 of words", bounds=(0.0, 1.0),
    source="De Cao et al. 2020, table 2", reference="exact-erasure",
    misleads="The sets are smallest for one way of replacing words and for an unchanged class. Where the class stays without "
    "any word (a third of the sentences on a sentiment GRU), an empty mask scores 1.",
)  # fmt: skip
@dataclass(frozen=True)
class Optimality:
    """How well the words a mask keeps are those of the smallest sets that keep the prediction, by exact search.

    A word is kept where P > 1/2 in the mask of the words: at depth 0, or, of masks that act on the words at every depth, at the
    last one. Precision, recall and F1 are a sentence's own, against the closest of the smallest sets, averaged over sentences;
    `mean/*` averages over the smallest sets first. `optimal`: the set is one of the smallest, so it keeps the prediction when
    `exact-erasure` replaces the removed words. `l0` is the share of words kept. Where no word is needed (`none_needed`; the
    smallest set is empty), recall is 1, and precision and F1 are 1 if none is kept, else 0. All for the predicted answer, over
    the words that may be masked. In [0, 1]; higher is better, but for `l0`. Source: De Cao et al. 2020, section 4 and table 2,
    which leave the threshold and the choice among several smallest sets open.
    """

    def score(self, model: FlowModel, explained: Sequence[ExplainedBatch], reference: Sequence[ExplainedBatch] | None) -> Scores:
        """One score row for each instance, variant and draw."""
        if reference is None:
            raise NotApplicable("the smallest sets are those of exact-erasure, which has not explained them: run it too.")
        rows: list[dict[str, Any]] = []
        for batch, matched in zip(explained, reference, strict=True):
            free = (model.maskable(batch.batch) & batch.batch.attention_mask).cpu().numpy()
            for case in batch.draws("predicted"):
                sets = matched.predicted[case.row].sets
                if sets is None:
                    raise NotApplicable("the stored explanations of exact-erasure hold no sets: run exact-erasure again.")
                free_row = free[case.row, : sets.shape[1]]
                rows += case.score_rows(_scores(case.explanation, sets[:, free_row], free_row))
        return Scores(frame(rows))


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
