"""Whether an explanation ranks words as leaving them out does.

Variants: `absolute` (sizes of both; the ranked one), `signed`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.stats import kendalltau

from ...core.settings import Settings
from ...methods.perturbation.leave_one_out import LeaveOneOut
from ...methods.views import token_scores
from ...models.baseline import Baseline, moving_words
from ...models.layered import Layered
from ..base import BatchMetric, ExplainedBatch
from ..registry import metric


@metric(
    "loo_correlation", reads="tokens", ranked="absolute", higher_is_better=True, unit="Kendall's tau", bounds=(-1.0, 1.0),
    source="Jain & Wallace 2019, section 4.1",
    misleads="It measures agreement with leave-one-out, which has faults of its own: words that stand in for each other score "
    "near 0 there. The method `leave-one-out` with the same baseline reaches 1 by definition.",
)  # fmt: skip
@dataclass(frozen=True)
class LooCorrelation(Settings, BatchMetric):
    """Kendall's tau between token scores and the fall of q when a word is left out.

    tau-b over the words whose vector differs from the baseline's, for the predicted answer: of the sizes (`absolute`, fair to
    methods without a sign) and of the signed values. In [-1, 1]; higher is better. Undefined where one side is constant. Source:
    Jain & Wallace 2019, section 4.1.

    Attributes:
        baseline: Word vector that replaces that of the word left out; on decoders the default is `pad`.
    """

    baseline: Baseline = "mask"

    def batch_rows(self, model: Layered, explained: ExplainedBatch) -> Iterator[dict[str, Any]]:
        """One score row for each instance, variant and draw."""
        moving = moving_words(model, explained.predicted_batch, self.baseline).cpu().numpy()
        with torch.no_grad():
            left_out = LeaveOneOut(self.baseline).explain(model, explained.predicted_batch)
        for case in explained.draws("predicted"):
            scores, falls = token_scores(case.explanation), token_scores(left_out[case.row])
            words = moving[case.row, : len(falls)]
            sizes = correlation(np.abs(scores[words]), np.abs(falls[words]))
            yield from case.score_rows({"absolute": sizes, "signed": correlation(scores[words], falls[words])})


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
