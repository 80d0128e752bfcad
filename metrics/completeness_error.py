"""How far token scores are from summing to the change of q.

Variants: `absolute` (units of q; the ranked one), `relative` (share of the change).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..core.errors import NotApplicable
from ..models.model import FlowModel
from ..models.outputs import value
from .base import Scores, Shown, frame, score_row
from .registry import metric

NO_CLAIM = "the method does not claim that its scores sum to q(x) - q(baseline): it reports no q_baseline."


@metric(
    "completeness_error",
    reads="tokens",
    ranked="absolute",
    higher_is_better=False,
    unit="units of q",
    bounds=(0.0, None),
    source="Sundararajan et al. 2017, section 3",
)
@dataclass(frozen=True)
class CompletenessError:
    """How far token scores are from summing to q(x) - q(baseline).

    |sum_j token_j - (q(x) - q(x_b))|, with q(x) measured here and q(x_b) as the method reports it (`values["q_baseline"]`), for
    the baseline is its own choice; `relative` divides by |q(x) - q(x_b)|. At least 0; lower is better. Source: Sundararajan et
    al. 2017, section 3.
    """

    def score(self, model: FlowModel, shown: Sequence[Shown], reference: Sequence[Shown] | None) -> Scores:
        """One row an (instance, variant)."""
        rows = []
        for batch in shown:
            with torch.no_grad():
                q = value(model.outputs(batch.batch), batch.batch).double().cpu().numpy()
            for row, (instance, explanation) in enumerate(zip(batch.instances, batch.gold, strict=True)):
                for draw, one in enumerate(explanation.each()):
                    if one.tokens is None or "q_baseline" not in one.values:
                        raise NotApplicable(NO_CLAIM)
                    change = q[row] - one.values["q_baseline"]
                    error = abs(float(one.tokens.sum()) - change)
                    reason = "" if change else "q is the same at the input and at the baseline."
                    rows.append(score_row(instance, "absolute", error, draw))
                    rows.append(score_row(instance, "relative", error / abs(change) if change else np.nan, draw, reason))
        return Scores(frame(rows))
