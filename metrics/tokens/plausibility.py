"""Agreement with people's sentiment labels of single words: plausible is not faithful.

Variants: `auroc` (whether scores separate words with sentiment from neutral ones; the ranked variant), `average_precision`,
`signed`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...core.errors import NotApplicable
from ...methods.views import token_scores
from ...models.flow.flow_model import FlowModel
from ...tasks.instance import Instance
from ..base import BatchMetric, ExplainedBatch
from ..registry import metric
from .loo_correlation import correlation

NEUTRAL = 2
NO_LABELS = "the task's instances have no word labels: use sst or sst/binary."


@metric(
    "plausibility", reads="tokens", ranked="auroc", higher_is_better=True, unit="AUROC", bounds=(-1.0, 1.0),
    source="Socher et al. 2013 (labels); De Cao et al. 2020, figure 4",
    misleads="It asks whether an explanation looks right to people. What convinces people need not be what the model uses "
    "(Jacovi & Goldberg 2020), so that a faithful explanation of a wrong model scores low.",
)  # fmt: skip
@dataclass(frozen=True)
class Plausibility(BatchMetric):
    """How well the words an explanation ranks first are those that people gave a sentiment.

    Word scores are sums over a word's tokens, for the gold answer. `auroc` and `average_precision` are of their sizes against
    "labelled other than neutral"; `signed` is Kendall's tau of scores, turned so that positive speaks for positive sentiment,
    with the labels 0 to 4. This says how an explanation looks to people, and nothing about how faithful it is to the model.
    `auroc` in [0, 1], chance .5. Undefined without both kinds of words. Sources: labels of Socher et al. 2013; De Cao et al.
    2020, figure 4.
    """

    def batch_rows(self, model: FlowModel, explained: ExplainedBatch) -> Iterator[dict[str, Any]]:
        """One score row for each instance, variant and draw."""
        words = explained.batch.word_ids.cpu().numpy()
        for case in explained.draws():
            if "token_labels" not in case.instance.truth:
                raise NotApplicable(NO_LABELS)
            labels = np.asarray(case.instance.truth["token_labels"])
            scores, seen = word_scores(token_scores(case.explanation), words[case.row], len(labels))
            yield from case.score_rows(agreement(scores, labels[seen], direction(case.instance)))


def word_scores(tokens: np.ndarray, words: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """The sum of the scores of each word's tokens, and the indices of these words.

    Args:
        tokens: One score a token.
        words: (segment, word) of each token.
        count: Number of words; those without tokens were cut off, and have no sum.

    >>> word_scores(np.array([1.0, 2.0, 4.0]), np.array([[0, 0], [0, 0], [0, 1]]), 3)
    (array([3., 4.]), array([0, 1]))
    """
    word = words[: len(tokens), 1]
    real = (words[: len(tokens), 0] == 0) & (word < count)
    sums = np.bincount(word[real], tokens[real], minlength=count)
    seen = np.bincount(word[real], minlength=count) > 0
    return sums[seen], np.flatnonzero(seen)


def direction(instance: Instance) -> int:
    """1 if q speaks for positive sentiment, -1 for negative, 0 for neither."""
    name = str(instance.answer[0]).lower()
    return ("positive" in name) - ("negative" in name)


def agreement(scores: np.ndarray, labels: np.ndarray, sign: int) -> dict[str, tuple[float, str]]:
    """The value of each variant, or NaN and why it is undefined.

    Args:
        scores: One score a word.
        labels: The sentiment of each word, 0 to 4.
        sign: 1 if q speaks for positive sentiment, -1 for negative, 0 for neither.
    """
    from sklearn.metrics import average_precision_score, roc_auc_score

    sentiment, size = labels != NEUTRAL, np.abs(scores)
    auroc = precision = np.nan, "either all words of the instance are neutral, or none."
    if sentiment.any() and not sentiment.all():
        auroc = float(roc_auc_score(sentiment, size)), ""
        precision = float(average_precision_score(sentiment, size)), ""
    signed = np.nan, "the gold answer is neither positive nor negative."
    if sign:
        signed = correlation(sign * scores, labels.astype(float), "labels")
    return {"auroc": auroc, "average_precision": precision, "signed": signed}
