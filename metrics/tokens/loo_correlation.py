"""Whether an explanation ranks words as leaving them out does.

Variants: `absolute` (sizes of both; the ranked one), `signed`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.stats import kendalltau

from ...methods.perturbation.leave_one_out import LeaveOneOut
from ...methods.views import token_scores
from ...models.baseline import Baseline, moving_words
from ...models.layered import Layered
from ..base import ExplainedBatch, Scores, frame, score_row
from ..registry import metric


@metric(
    "loo_correlation", reads="tokens", ranked="absolute", higher_is_better=True, unit="Kendall's tau", bounds=(-1.0, 1.0),
    source="Jain & Wallace 2019, section 4.1",
)  # fmt: skip
@dataclass(frozen=True)
class LooCorrelation:
    """Kendall's tau between token scores and the fall of q when a word is left out.

    tau-b over the words whose vector differs from the baseline's, for the predicted answer: of the sizes (`absolute`, fair to
    methods without a sign) and of the signed values. In [-1, 1]; higher is better. Undefined where one side is constant. Source:
    Jain & Wallace 2019, section 4.1.

    Attributes:
        baseline: Word vector that replaces that of the word left out.
    """

    baseline: Baseline = "mask"

    def score(self, model: Layered, explained: Sequence[ExplainedBatch], reference: Sequence[ExplainedBatch] | None) -> Scores:
        """One score row for each instance, variant and draw."""
        rows = []
        for batch in explained:
            moving = moving_words(model, batch.predicted_batch, self.baseline).cpu().numpy()
            with torch.no_grad():
                left_out = LeaveOneOut(self.baseline).explain(model, batch.predicted_batch)
            for row, (instance, explanation) in enumerate(zip(batch.instances, batch.predicted, strict=True)):
                falls = token_scores(left_out[row])
                words = moving[row, : len(falls)]
                for draw, scored in enumerate(explanation.each()):
                    scores = token_scores(scored)
                    for name, view in (("absolute", np.abs), ("signed", np.asarray)):
                        tau, reason = correlation(view(scores[words]), view(falls[words]))
                        rows.append(score_row(instance, name, tau, draw, reason))
        return Scores(frame(rows))


def correlation(scores: np.ndarray, values: np.ndarray, name: str = "falls of q") -> tuple[float, str]:
    """Kendall's tau-b of token scores and other values of the words, or NaN and why it is undefined.

    Args:
        scores: One score a word.
        values: One value a word.
        name: What the values are, for the reason.

    >>> correlation(np.array([1.0, 2.0, 3.0]), np.array([1.0, 3.0, 2.0]))[0].round(3)
    np.float64(0.333)
    """
    for side, of in ((scores, "token scores"), (values, name)):
        if len(np.unique(side)) < 2:
            return np.nan, f"the {of} are all the same."
    return kendalltau(scores, values).statistic, ""
