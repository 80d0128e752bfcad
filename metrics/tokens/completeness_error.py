"""How far scores are from summing to the change of the output that they claim to sum to.

Variants:

    absolute             of tokens (units of q; the ranked one)
    relative             the same, as a share of the change
    layers/absolute      of edges, each layer by itself: the largest of the layers (units of the method's own F)
    layers/relative      the sum of the layers' errors, as a share of the sum of their changes
    layer/<l>/absolute   of one layer, counted from 1

A method that claims layers but no tokens has an undefined `absolute`, with the reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ...core.errors import NotApplicable
from ...models.flow.flow_model import FlowModel
from ...models.outputs import value
from ...tasks.instance import Instance
from ..base import BatchMetric, ExplainedBatch, ExplainedDraw, score_row
from ..registry import metric

NO_CLAIM = "the method does not claim that its scores sum to a change of the output: it reports no q_baseline and no change/1."
BY_LAYER = "the method's edges sum to changes of its own F, layer by layer: see layers/relative."
STILL = "q is the same at the input and at the baseline."


@metric(
    "completeness_error",
    reads="values",
    ranked="absolute",
    higher_is_better=False,
    unit="units of q",
    bounds=(0.0, None),
    source="Sundararajan et al. 2017, section 3",
    misleads="Scores that sum correctly can be spread over the words in any way: it tests the computation, and not the "
    "explanation. It grows with q, so that only methods on one model can be compared.",
)
@dataclass(frozen=True)
class CompletenessError(BatchMetric):
    """How far scores are from summing to the change of the output that they claim to sum to.

    Tokens: |sum_j token_j - (q(x) - q(x_b))|, with q(x) measured here and q(x_b) as the method reports it
    (`values["q_baseline"]`), since the method chooses the baseline. Edges: |sum_hip edges_l[h, i, p] - c_l| for each layer l,
    with c_l as the method reports it (`values["change/<l>"]`); large views are stored with three digits, so about 1e-4 of the
    change is noise. At least 0; lower is better. Sources: Sundararajan et al. 2017, section 3; of a layer, Hao et al. 2021.
    """

    def batch_rows(self, model: FlowModel, explained: ExplainedBatch) -> Iterator[dict[str, Any]]:
        """One score row for each instance, variant and draw."""
        with torch.no_grad():
            q = value(model.outputs(explained.batch), explained.batch).double().tolist()
        for case in explained.draws():
            yield from _rows(case, q[case.row])


def _rows(case: ExplainedDraw, q: float) -> Iterator[dict[str, Any]]:
    """Score rows by tokens and by layers, whichever the method claims."""
    _, _, instance, draw, explanation = case
    of_tokens, of_layers = explanation.tokens is not None and "q_baseline" in explanation.values, "change/1" in explanation.values
    if of_tokens:
        assert explanation.tokens is not None
        change = q - explanation.values["q_baseline"]
        error = abs(float(explanation.tokens.sum()) - change)
        yield score_row(instance, "absolute", error, draw)
        yield _relative(instance, "relative", error, abs(change), draw)
    elif of_layers:
        yield score_row(instance, "absolute", np.nan, draw, BY_LAYER)
    else:
        raise NotApplicable(NO_CLAIM)
    if of_layers and explanation.edges is not None:
        changes = np.array([explanation.values[f"change/{layer}"] for layer in range(1, len(explanation.edges) + 1)])
        errors = np.abs(explanation.edges.sum((1, 2, 3), dtype=float) - changes)
        yield score_row(instance, "layers/absolute", float(errors.max()), draw)
        yield _relative(instance, "layers/relative", float(errors.sum()), float(np.abs(changes).sum()), draw)
        for layer, error in enumerate(errors, 1):
            yield score_row(instance, f"layer/{layer}/absolute", float(error), draw)


def _relative(instance: Instance, variant: str, error: float, change: float, draw: int) -> dict[str, Any]:
    return score_row(instance, variant, error / change if change else np.nan, draw, "" if change else STILL)
