"""GlobEnc (Modarressi et al. 2022): norms of each position's part in a layer's output, multiplied through the layers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ...core.settings import Settings
from ...models.batch import Batch
from ...models.flow.flow_model import FlowModel
from ..attention.attention_rollout import rolled_out
from ..base import method
from ..explanation import Explanation
from .linear_layers import COPIES, LinearLayer, layer_shares, linear_layers, pieces, through


@method(
    "globenc",
    gives={"tokens", "nodes", "flows", "edges"},
    needs={"transformer", "target"},
    source="Modarressi et al. 2022, GlobEnc: Quantifying Global Token Attribution by Incorporating the Whole Encoder Layer",
    misleads="A part counts by its length even where other parts cancel it. It neither sees what feed-forward blocks do with a "
    "part nor the explained answer, so that every answer of a sentence gets the same scores.",
)
@dataclass(frozen=True)
class GlobEnc(Settings):
    """Norm of each position's part in the output of a whole layer, rolled out (Modarressi et al. 2022).

    The residual after attention is a sum of parts by position read, t_ij = norm1(sum_h A_h[i, j] W_o,h v_j,h + [i = j] h_i), and
    each part goes on through the residual beside the feed-forward block and the norm behind it:

        edges[l, 0, i, j] = ||norm2(t_ij)||_2 / sum over k of ||norm2(t_ik)||_2,

    rolled out as in `attention-rollout`. A norm acts on a part without its bias, with the deviation that its whole input has in
    the clean pass (for norm2: with the feed-forward block's output). What that block and biases write is no part. Layers that
    normalise before each block have no norms on the residual: there t_ij itself is measured, the attention's share after its own
    norm where it has one (Gemma 2). Source: Modarressi et al. 2022 (N_ENC). Shares in [0, 1]; rows of edges, and
    tokens, sum to 1; they have no sign. One forward pass, and parts of every pair of tokens in each layer.
    """

    def explain(self, model: FlowModel, batch: Batch) -> list[Explanation]:
        """Measures the parts in every layer of every instance."""
        return [found for piece in pieces(model, batch) for found in self._explain(model, piece)]

    def _explain(self, model: FlowModel, batch: Batch) -> list[Explanation]:
        graph = [layer_shares(layer, _norms, COPIES) for layer in linear_layers(model, batch)]
        return rolled_out(batch, torch.stack(graph, 1), edges=True)


def _norms(layer: LinearLayer, queries: slice) -> Tensor:
    """Norms of the parts of the layer's output at some queries (B, Q, N)."""
    return through(layer.norms.left, layer.merged(queries), queries).norm(dim=-1)
