"""Attention weights times their gradients: by themselves (Serrano & Smith 2019), and through the layers (Chefer et al. 2021)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from ...core.settings import Settings
from ...models.batch import Batch
from ...models.flow.flow_model import FlowModel
from ...models.shapes import Attention
from ..attention.attention_rollout import target_rows
from ..base import explanations, method
from ..explanation import Explanation
from .context_gradients import check_classes_for, context_gradients, pieces

Output = Literal["quantity", "probability"]


def attention_products(model: FlowModel, batch: Batch, output: Output) -> list[Attention]:
    """A dF/dA of every attention weight, layer by layer.

    The gradient of the weights is G V^T, with G the gradient at the context vectors A V, so that autograd computes none of it.

    Args:
        model: The model.
        batch: The batch.
        output: The scalar F.
    """
    trace, gradients = context_gradients(model, batch, output, {"attention", "value"})
    return [
        trace.site("attention", index).detach()
        * torch.einsum("bihd,bphd->bhip", gradient, layer.attention.shared(trace.site("value", index).detach()))
        for index, (layer, gradient) in enumerate(zip(model.layers, gradients, strict=True))
    ]


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
    zero. Source: Serrano & Smith 2019 (one layer of attention); the integrand of attention attribution (Hao et al. 2021) at the
    input. Units of F; signed: positive supports F.

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
        edges = attention_products(model, batch, self.output)
        rows = torch.arange(len(batch), device=batch.ids.device)
        tokens = edges[-1][rows, :, batch.target].sum(1)
        return explanations(batch, tokens=tokens, heads=torch.stack(edges, 1).sum((-2, -1)), edges=torch.stack(edges, 1))


@method(
    "generic-attention",
    gives={"tokens", "nodes", "edges"},
    needs={"transformer", "target"},
    source="Chefer, Gur & Wolf 2021, Generic Attention-model Explainability, equations 5 and 6",
    misleads="What lowers q is cut off before the layers are multiplied, so that no score is negative. The identity counts 1 and "
    "the maps have units of q: where q is steep, long paths weigh more, and where it is saturated, the target itself is first.",
)
@dataclass(frozen=True)
class GenericAttention:
    """Attention weights times their positive gradients, multiplied through the layers with residuals (Chefer et al. 2021).

    With M_l = mean over heads of (A_l * dq/dA_l)^+ and R = (I + M_L) ... (I + M_1), which R = I and then R += M_l R compute:

        tokens[j] = R[target, j];  nodes[l, i] = ((I + M_L) ... (I + M_{l+1}))[target, i];  edges[l, 0, i, p] = M_{l+1}[i, p].

    The target has the place of [CLS] in the source. Its identity stays, as in equation 6: the target's own score is 1, for the
    path along residuals alone, plus that of all other paths from the target back to it. Source: Chefer, Gur & Wolf 2021,
    equations 5 and 6 (self-attention). Of edges: units of q; of tokens and nodes: sums of products of edges; at least 0. One
    forward and one backward pass.
    """

    def explain(self, model: FlowModel, batch: Batch) -> list[Explanation]:
        """Computes the positive maps of every instance and multiplies them."""
        return [found for piece in pieces(model, batch) for found in self._explain(model, piece)]

    def _explain(self, model: FlowModel, batch: Batch) -> list[Explanation]:
        assert batch.target is not None
        maps = torch.stack([products.clamp(min=0).mean(1) for products in attention_products(model, batch, "quantity")], 1)
        nodes = target_rows(maps + torch.eye(maps.shape[-1], dtype=maps.dtype, device=maps.device), batch.target)
        return explanations(batch, tokens=nodes[:, 0], nodes=nodes, edges=maps[:, :, None])
