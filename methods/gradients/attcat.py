"""Attentive class activation tokens (Qiang et al. 2022)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ...models.batch import Batch
from ...models.flow.flow_model import FlowModel
from ..base import explanations, method
from ..explanation import Explanation
from .context_gradients import pieces, state_products


@method(
    "attcat",
    gives={"tokens", "nodes"},
    needs={"transformer"},
    source="Qiang et al. 2022, AttCAT: Explaining Transformers via Attentive Class Activation Tokens, section 3",
    misleads="A hidden state counts as its own token's, although it mixes all of them, and is compared with a vector of zeros, "
    "which no layer gives. The layers are summed, although each explains the same q again.",
)
@dataclass(frozen=True)
class AttCAT:
    """Gradient times hidden state, weighted by the attention that the token gets, summed over layers (Qiang et al. 2022).

    With A_h,l the attention of head h of the layer that reads hidden[l], and n the real tokens:

        nodes[l, i] = <h^l_i, dq/dh^l_i> mean over h and queries k of A_h,l[k, i];    tokens[i] = sum over l < L of nodes[l, i].

    hidden[L] is read by no attention: its row of nodes is 0. The source writes the weight as the attention of token i in layer
    l, averaged over heads; as in published code it is what i gets as a key, on average over all queries, and the state is the
    one that the layer reads. Source: Qiang et al. 2022, section 3. Units of q; signed: positive supports q; unbounded. One
    forward and one backward pass.
    """

    def explain(self, model: FlowModel, batch: Batch) -> list[Explanation]:
        """Computes the products of every instance, and weights and sums them."""
        return [found for piece in pieces(model, batch) for found in self._explain(model, piece)]

    def _explain(self, model: FlowModel, batch: Batch) -> list[Explanation]:
        trace, _, products = state_products(model, batch, {"attention"})
        queries = batch.attention_mask.to(products.dtype) / batch.attention_mask.sum(1, keepdim=True)
        weights = [
            torch.einsum("bhkp,bk->bp", trace.site("attention", layer).detach(), queries) / model.n_heads
            for layer in range(model.n_layers)
        ]
        nodes = products * torch.stack([*weights, torch.zeros_like(queries)], 1)
        return explanations(batch, tokens=nodes.sum(1), nodes=nodes)
