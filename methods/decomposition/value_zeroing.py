"""Value zeroing (Mohebbi et al. 2023): how far a position's output moves when another position's value vectors are zeroed."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import normalize

from ...core.settings import Settings
from ...models.batch import Batch
from ...models.flow.flow_model import FlowModel
from ...models.flow.work import note_layer
from ...models.memory import affordable, run_bytes
from ..attention.attention_rollout import rolled_out
from ..base import method
from ..explanation import Explanation
from .linear_layers import LinearLayer, linear_layers, shares


@method(
    "value-zeroing",
    gives={"tokens", "nodes", "flows", "edges"},
    needs={"transformer", "target"},
    source="Mohebbi et al. 2023, Quantifying Context Mixing in Transformers",
    misleads="It measures how words mix, and not what the answer needs of them: every answer of a sentence gets the same "
    "scores. One position is zeroed at a time, so that positions with the same content hide each other.",
)
@dataclass(frozen=True)
class ValueZeroing(Settings):
    """Change of each position's output when the value vectors of another are zeroed, rolled out (Mohebbi et al. 2023).

    With h' = hidden[l + 1] and h'(-j) the same where v_j = 0 for every head of this layer, everything else as in the clean pass:

        edges[l, 0, i, j] = (1 - cos(h'_i, h'_i(-j))) / sum over k of (1 - cos(h'_i, h'_i(-k))),

    rolled out as in `attention-rollout`, without a further identity, since h' contains the residual. Source: Mohebbi et al. 2023.
    Shares in [0, 1]; rows of edges, and tokens, sum to 1; they have no sign. A position that nothing moves keeps its own share.
    One forward pass; then each layer, from the output projection on, once more for every token.
    """

    def explain(self, model: FlowModel, batch: Batch) -> list[Explanation]:
        """Zeroes each position's values in each layer of every instance."""
        changes = [shares(_changes(model, layer).double()) for layer in linear_layers(model, batch)]
        return rolled_out(batch, torch.stack(changes, 1), edges=True)


@torch.no_grad()
def _changes(model: FlowModel, layer: LinearLayer) -> Float[Tensor, "rows queries tokens"]:
    """Cosine distances of the outputs of each query with and without each position's values; 0 where it is not attended to."""
    rows, tokens = layer.skip.shape[:2]
    clean, changes = normalize(layer.after, dim=-1), layer.weights.new_zeros(rows, tokens, tokens)
    for part in torch.arange(tokens, device=clean.device).split(affordable(rows * run_bytes(model, tokens), 1 / 2)):
        read = torch.einsum("bhij,bjha->jbiha", layer.weights[..., part], layer.value[:, part])
        note_layer(len(part) * rows)
        without = normalize(layer.layer.finish(layer.skip.expand(len(part), -1, -1, -1), layer.context - read), dim=-1)
        # half the squared distance of unit vectors is 1 - cos, without the loss of digits where it is near 0
        changes[..., part] = (without - clean).square().sum(-1).movedim(0, -1) / 2
    return changes * (layer.weights.amax(1) > 0)
