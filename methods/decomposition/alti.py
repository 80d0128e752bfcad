"""ALTI (Ferrando et al. 2022): how near each position's part comes to the whole, multiplied through the layers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ...core.settings import Settings
from ...models.batch import Batch
from ...models.flow.flow_model import FlowModel
from ..attention.attention_rollout import rolled_out
from ..base import method
from ..explanation import Explanation
from .linear_layers import COPIES, LinearLayer, layer_shares, linear_layers, pieces


@method(
    "alti",
    gives={"tokens", "nodes", "flows", "edges"},
    needs={"transformer", "target"},
    source="Ferrando et al. 2022, Measuring the Mixing of Contextual Information in the Transformer",
    misleads="It measures how words mix, and not what the answer needs of them: every answer of a sentence gets the same "
    "scores. Feed-forward blocks are left out, and parts that lie further from the whole than its length count as 0.",
)
@dataclass(frozen=True)
class Alti(Settings):
    """Nearness of each position's part to the residual after attention, rolled out (Ferrando et al. 2022).

    The residual y_i after attention (and after its norm, where the layer normalises after it) is a sum of parts t_ij by position
    read and of what biases add (`LinearLayer.merged`). With the L1 norm,

        edges[l, 0, i, j] = c_ij / sum over k of c_ik,    c_ij = max(0, ||y_i||_1 - ||y_i - t_ij||_1),

    rolled out as in `attention-rollout`. Source: Ferrando et al. 2022; on decoders, which normalise before attention,
    the parts of the residual stream as in Ferrando et al. 2023. Shares in [0, 1]; rows of edges, and tokens, sum to 1;
    they have no sign. A position no part of which comes nearer keeps its own share. One forward pass, and parts of every pair of
    tokens in each layer.
    """

    def explain(self, model: FlowModel, batch: Batch) -> list[Explanation]:
        """Measures the parts in every layer of every instance."""
        return [found for piece in pieces(model, batch) for found in self._explain(model, piece)]

    def _explain(self, model: FlowModel, batch: Batch) -> list[Explanation]:
        graph = [layer_shares(layer, nearness, COPIES) for layer in linear_layers(model, batch)]
        return rolled_out(batch, torch.stack(graph, 1), edges=True)


def nearness(layer: LinearLayer, queries: slice) -> Tensor:
    """c_ij of some queries (B, Q, N)."""
    return proximity(layer.merged(queries), layer.middle[:, queries, None])


def proximity(parts: Float[Tensor, "*parts hidden"], whole: Float[Tensor, "*wholes hidden"]) -> Tensor:
    """max(0, ||whole||_1 - ||whole - part||_1) of each part.

    >>> proximity(torch.tensor([[1.0, 1.0], [-1.0, 0.0]]), torch.tensor([2.0, 1.0])).tolist()
    [2.0, 0.0]
    """
    wide = torch.promote_types(parts.dtype, torch.float32)
    parts, whole = parts.to(wide), whole.to(wide)  # two sums of nearly the same size are subtracted
    return (whole.abs().sum(-1, dtype=torch.float64) - (whole - parts).abs().sum(-1, dtype=torch.float64)).clamp_min(0)
