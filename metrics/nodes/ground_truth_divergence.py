"""How far an explanation is from the words that are known to matter, on tasks whose instances say which.

Variants: `hidden_js` (the ranked one) and `hidden_kl` of scores at hidden[0], `words_js` and `words_kl` of scores of words.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool, Float

from ...core.errors import NotApplicable
from ...methods.explanation import Explanation
from ...methods.views import describe_views, level_scores
from ...models.layered import Layered
from ...tasks.instance import Instance
from ..base import BatchMetric, ExplainedBatch
from ..registry import metric

NO_TRUTH = "the task's instances do not say which words matter (truth['positions']): use toy/counting."
BOUNDS = (0.0, 0.6931471805599453)
"""Up to ln 2, the largest Jensen-Shannon divergence."""
LEVELS: tuple[Literal["hidden", "words"], ...] = ("hidden", "words")


@metric(
    "ground_truth_divergence", reads="nodes", ranked="hidden_js", higher_is_better=False, unit="nats", bounds=BOUNDS,
    source="De Cao et al. 2020, section 3 and table 1",
    misleads="The truth is that of hidden states, where a few positions matter; for words, the counting task needs every "
    "digit, and a uniform score is right. Normalising hides the sizes of scores, so that noise of a tiny size counts "
    "as much as large scores.",
)  # fmt: skip
@dataclass(frozen=True)
class GroundTruthDivergence(BatchMetric):
    """How far an explanation, normalised over positions, is from even weight on those known to matter.

    Absolute scores (keep probabilities as they are) are normalised over the positions that may be masked. KL is
    KL(truth || scores), JS the Jensen-Shannon divergence; natural logarithms; smaller is better. `hidden_*` reads the mask at
    hidden[0], else the nodes there; `words_*` reads the mask of words, else token scores. The truth is that of hidden states: of
    words, `toy/counting` needs every digit to find those equal to the query, and a uniform score is right there. Undefined where
    a mask acts on words at every depth (`hidden_*`), where no position matters, where every score is 0, and for KL where a
    position that matters scores 0, so that it is infinite. Source: De Cao et al. 2020, table 1, with numbers as published in
    their code.
    """

    def batch_rows(self, model: Layered, explained: ExplainedBatch) -> Iterator[dict[str, Any]]:
        """One score row for each instance, variant and draw, of the gold answer.

        Raises:
            NotApplicable: The task does not know what matters, or the method scores neither words nor hidden states.
        """
        maskable, words = model.maskable(explained.batch).cpu().numpy(), explained.batch.word_ids.cpu().numpy()
        for case in explained.draws():
            truth = known(case.instance, words[case.row]) & maskable[case.row]
            yield from case.score_rows(_variants(case.explanation, truth, maskable[case.row]))


def known(instance: Instance, words: np.ndarray) -> Bool[np.ndarray, " padded"]:
    """Which tokens belong to the words that matter.

    Args:
        instance: Its `truth["positions"]` holds (segment, word) of each word that matters.
        words: (segment, word) of each token.

    Raises:
        NotApplicable: The instance does not say which words matter.
    """
    positions = instance.truth.get("positions")
    if not isinstance(positions, (tuple, list)):
        raise NotApplicable(NO_TRUTH)
    relevant = {(int(segment), int(word)) for segment, word in positions}
    return np.array([(int(segment), int(word)) in relevant for segment, word in words])


def _variants(explanation: Explanation, truth: np.ndarray, maskable: np.ndarray) -> dict[str, tuple[float, str]]:
    """The value of each variant, or NaN and why it is undefined."""
    by_level = {level: level_scores(explanation, level) for level in LEVELS}
    views = describe_views(explanation)
    if all(scores is None for scores in by_level.values()):
        raise NotApplicable(f"the method gives {views}, from which neither words nor hidden[0] can be scored.")
    variants: dict[str, tuple[float, str]] = {}
    for level, scores in by_level.items():
        if scores is None:
            reason = f"the method gives {views} and no scores of {'hidden states' if level == 'hidden' else 'words'}."
            js, kl = (np.nan, reason), (np.nan, reason)
        else:
            free = maskable[: len(scores)]
            js, kl = divergences(scores[free], truth[: len(scores)][free])
        variants |= {f"{level}_js": js, f"{level}_kl": kl}
    return variants


def divergences(
    scores: Float[np.ndarray, " positions"], truth: Bool[np.ndarray, " positions"]
) -> tuple[tuple[float, str], tuple[float, str]]:
    """JS and KL(truth || scores) of non-negative scores and the uniform distribution over `truth`; NaN with the reason.

    >>> js, kl = divergences(np.array([3.0, 1.0]), np.array([True, False]))
    >>> round(js[0], 4), round(kl[0], 4)  # KL = ln 4/3
    (0.0956, 0.2877)
    """
    total = scores.sum()
    if not truth.any() or not total > 0:
        reason = "no position matters." if not truth.any() else "every score is 0."
        return (np.nan, reason), (np.nan, reason)
    p, q = truth / truth.sum(), scores / total
    js = min((_kl(p, (p + q) / 2) + _kl(q, (p + q) / 2)) / 2, BOUNDS[1])
    if (q[truth] == 0).any():
        return (js, ""), (np.nan, "the divergence is infinite: a position that matters scores 0.")
    return (js, ""), (_kl(p, q), "")


def _kl(p: np.ndarray, q: np.ndarray) -> float:
    """KL(p || q) in nats; q is above 0 wherever p is."""
    positive = p > 0
    return max(float((p[positive] * np.log(p[positive] / q[positive])).sum()), 0.0)  # rounding can leave it below
