"""Gradient times attention: each attention weight times its gradient (Serrano & Smith 2019)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from ...core.settings import Settings
from ...models.batch import Batch
from ...models.flow.flow_model import FlowModel
from ..base import explanations, method
from ..explanation import Explanation
from .context_gradients import check_classes_for, context_gradients

Output = Literal["quantity", "probability"]


@method(
    "gradient-x-attention",
    gives={"tokens", "heads", "edges"},
    needs={"transformer", "target"},
    source="Serrano & Smith 2019, Is Attention Interpretable?",
    misleads="It is of first order at the input: where the output is saturated, gradients are near 0 for weights that decide "
    "it. `tokens` reads the last layer alone, where the state at a position mixes all words.",
)
@dataclass(frozen=True)
class GradientXAttention(Settings):
    """Each attention weight times the gradient of q with respect to it (Serrano & Smith 2019).

    edges[l, h] = A_l,h * dF/dA_l,h at the input, through all layers above; computed as A * (G V^T), where G = dF/dc is the
    gradient at the head's context vectors c = A V, so that no gradient of a weight is computed. An edge is the decrease of F, to
    first order, when its weight is set to 0. heads[l, h] is the sum over all weights, sum_i <dF/dc_i, c_i>: the decrease of F, to
    first order, without the head. tokens[j] is the sum over heads of the last layer's target row, the only row there that is not
    zero. Source: Serrano & Smith 2019 (one layer of attention); the
    integrand of attention attribution (Hao et al. 2021) at the input. Units of F; signed: positive supports F.

    Attributes:
        output: The differentiated scalar F: the batch's `quantity`, or the `probability` of the answer (as in Hao et al. 2021).

    Raises:
        UsageError: The output is neither of the two.
    """

    output: Output = "quantity"

    def explain(self, model: FlowModel, batch: Batch) -> list[Explanation]:
        """Computes the edges of every instance, and their sums over heads and tokens."""
        assert batch.target is not None
        check_classes_for(model, self.output, "output")
        trace, gradients = context_gradients(model, batch, self.output, {"attention", "value"})
        edges = [
            trace.site("attention", index).detach()
            * torch.einsum("bihd,bphd->bhip", gradient, layer.attention.shared(trace.site("value", index).detach()))
            for index, (layer, gradient) in enumerate(zip(model.layers, gradients, strict=True))
        ]
        rows = torch.arange(len(batch), device=batch.ids.device)
        tokens = edges[-1][rows, :, batch.target].sum(1)
        return explanations(batch, tokens=tokens, heads=torch.stack(edges, 1).sum((-2, -1)), edges=torch.stack(edges, 1))
