"""Attention rollout (Abnar & Zuidema 2020): attention multiplied through the layers."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ...models.batch import Batch
from ...models.flow.flow_model import FlowModel
from ..base import explanations, method
from ..explanation import Explanation
from .attention_graph import attention_graph, check_depth, check_residual, depth_of

Graph = Float[Tensor, "batch layers tokens tokens"]


@method(
    "attention-rollout",
    gives={"tokens", "nodes", "flows"},
    needs={"transformer", "target"},
    source="Abnar & Zuidema 2020, Quantifying Attention Flow in Transformers, section 3",
)
@dataclass(frozen=True)
class AttentionRollout:
    """Attention multiplied through the layers, with residuals (Abnar & Zuidema 2020).

    With R_l = residual * I + (1 - residual) * mean over heads of A_l and T_l = R_l ... R_1 (T_0 = I):

        tokens[j] = T_L[target, j];  nodes[l, i] = (R_L ... R_{l+1})[target, i];  flows[j, l, i] = T_l[i, j] nodes[l, i].

    A walker who starts at the target and steps from query to key by R passes node (l, i) with probability nodes[l, i], and ends
    at word j on the way through it with probability flows[j, l, i]; so flows sum over l's nodes to tokens[j], and over words to
    nodes[l, i], and nodes is tokens at l = 0 and the target alone at l = L. Source: Abnar & Zuidema 2020, section 3 (tokens;
    nodes and flows read the same product in two parts). Shares in [0, 1] that sum to 1 in every layer; they have no sign.

    Attributes:
        residual: Weight of the residual connection.
        depth: Layer whose target row is read, counted from 1; the layers above pass the target on. None: the last.

    Raises:
        UsageError: A residual outside [0, 1], a depth outside 1 to L.
    """

    residual: float = 0.5
    depth: int | None = None

    def __post_init__(self) -> None:
        check_residual(self.residual)
        check_depth(self.depth)

    def explain(self, model: FlowModel, batch: Batch) -> list[Explanation]:
        """Tokens, nodes and flows of every instance."""
        assert batch.target is not None
        graph = attention_graph(model, batch, self.residual).double()
        graph[:, depth_of(self.depth, model) :] = torch.eye(graph.shape[-1], dtype=graph.dtype, device=graph.device)
        nodes = target_rows(graph, batch.target)
        flows = rollout(graph).transpose(2, 3) * nodes[:, :, None]
        return explanations(batch, tokens=nodes[:, 0], nodes=nodes, flows=flows.transpose(1, 2))


def target_rows(graph: Graph, target: Int[Tensor, " batch"]) -> Float[Tensor, "batch depths tokens"]:
    """The target's row of R_L ... R_{l+1} for l = 0..L, from the top down: L products of a row and a matrix."""
    rows = [torch.nn.functional.one_hot(target, graph.shape[-1]).to(graph.dtype)]
    for layer in reversed(graph.unbind(1)):
        rows.append(torch.einsum("bi,bip->bp", rows[-1], layer))
    return torch.stack(rows[::-1], 1)


def rollout(graph: Graph) -> Float[Tensor, "batch depths tokens tokens"]:
    """T_l = R_l ... R_1 for l = 0..L; row i: where the attention of position i at hidden[l] comes from."""
    found = [torch.eye(graph.shape[-1], dtype=graph.dtype, device=graph.device).expand_as(graph[:, 0])]
    for layer in graph.unbind(1):
        found.append(layer @ found[-1])
    return torch.stack(found, 1)
