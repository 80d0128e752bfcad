"""Internal influence (Leino et al. 2018) of hidden states."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from ...models.batch import Batch
from ...models.flow.flow_model import FlowModel
from ...models.flow.trace import PathSettings
from ..base import explanations, method
from ..explanation import Explanation


@method(
    "internal-influence",
    gives={"nodes"},
    needs={"transformer", "path_samples"},
    source="Leino et al. 2018, Influence-Directed Explanations for Deep Convolutional Networks, equation 1",
    misleads="Gradients are summed over units, without a change of the state that they belong to: the score depends on the "
    "scale of hidden units, and units of opposite sign cancel. A model reduced to its nodes is right in .49 to .71 of "
    "instances on the published tasks, not far from chance (Lu et al. 2021, section 4.4).",
)
@dataclass(frozen=True)
class InternalInfluence(PathSettings):
    """Mean gradient of q at each hidden state along the path from a baseline (Leino et al. 2018).

    node[l, i] = sum_d E_z[dq/dh^l_{i,d}]. The source defines the vector over d and no reduction to one number; here it is summed.
    Source: Leino et al. 2018, equation 1; baseline of Lu et al. 2021, section 4.4. Units of q per unit of h; unbounded.
    """

    def explain(self, model: FlowModel, batch: Batch) -> list[Explanation]:
        """Averages the gradients of every instance."""
        trace = self.trace(model, batch)
        pieces = [torch.stack([piece.mean(grad.sum(-1)) for grad in piece.grad_hidden], 1) for piece in trace.pieces()]
        return explanations(batch, nodes=torch.stack(pieces).sum(0))
