"""How far token scores are from summing to the change of q.

Variants: `absolute` (units of q; the ranked one), `relative` (share of the change).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..core.errors import NotApplicable
from ..models.model import FlowModel
from .base import Scores, Shown, frame, score_row
from .registry import metric

NO_CLAIM = "the method does not claim that its scores sum to q(x) - q(baseline): it reports no completeness_error."


@metric(
    "completeness_error",
    reads="values",
    ranked="absolute",
    higher_is_better=False,
    unit="units of q",
    bounds=(0.0, None),
    source="Sundararajan et al. 2017, section 3",
)
@dataclass(frozen=True)
class CompletenessError:
    """How far token scores are from summing to q(x) - q(baseline).

    |sum_j token_j - (q(x) - q(x_b))| as the method itself reports it (`values["completeness_error"]`); `relative` divides by
    |q(x) - q(x_b)| where the method reports both. At least 0; lower is better. Source: Sundararajan et al. 2017, section 3.
    """

    def score(self, model: FlowModel, shown: Sequence[Shown], reference: Sequence[Shown] | None) -> Scores:
        """One row an (instance, variant)."""
        rows = []
        for batch in shown:
            for instance, explanation in zip(batch.instances, batch.gold, strict=True):
                for draw, one in enumerate(explanation.each()):
                    if "completeness_error" not in one.values:
                        raise NotApplicable(NO_CLAIM)
                    error = one.values["completeness_error"]
                    rows.append(score_row(instance, "absolute", error, draw))
                    if {"q", "q_baseline"} <= one.values.keys():
                        change = abs(one.values["q"] - one.values["q_baseline"])
                        reason = "" if change else "q is the same at the input and at the baseline."
                        rows.append(score_row(instance, "relative", error / change if change else np.nan, draw, reason))
        return Scores(frame(rows))
