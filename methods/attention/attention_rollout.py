"""Attention rollout (Abnar & Zuidema 2020): attention multiplied through the layers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import torch
from jaxtyping import Float, Int
from pydantic import PositiveInt
from torch import Tensor

from ...core.settings import Settings
from ...models.batch import Batch
from ...models.flow.flow_model import FlowModel
from ..base import explanations, method
from ..explanation import Explanation
from .attention_graph import Residual, attention_graph, depth_of

Graph = Float[Tensor, "batch layers tokens tokens"]


@method(
    "attention-rollout",
    gives={"tokens", "nodes", "flows"},
    needs={"transformer", "target"},
    source="Abnar & Zuidema 2020, Quantifying Attention Flow in Transformers, section 3",
    misleads="Only averaged attention is read: neither values nor feed-forward blocks nor the explained answer, so that every "
    "answer of a sentence gets the same scores (Chefer et al. 2021). On planted paths its nodes are "
    "no better than random ones (AUROC .45 to .69, docs/measurements.md).",
)
@dataclass(frozen=True)
class AttentionRollout(Settings):
    """Attention multiplied through the layers, with residuals (Abnar & Zuidema 2020).

    With R_l = residual * I + (1 - residual) * mean over heads of A_l and T_l = R_l ... R_1 (T_0 = I):

        tokens[j] = T_L[target, j];  nodes[l, i] = (R_L ... R_{l+1})[target, i];  flows[j, l, i] = T_l[i, j] nodes[l, i].

    A random walk that starts at the target and steps from query to key by R passes node (l, i) with probability nodes[l, i], and
    passes it and ends at word j with probability flows[j, l, i]; so flows sum over the nodes of a layer to tokens[j], and over
    words to nodes[l, i]; nodes equals tokens at l = 0, and has the target alone at l = L. Source: Abnar & Zuidema 2020, section 3
    (tokens; nodes and flows read the same product in two parts). Shares in [0, 1] that sum to 1 in every layer; they have no
    sign.

    Attributes:
        residual: Weight of the residual connection, in [0, 1].
        depth: Layer at which the product starts, counted from 1; above it only the target has a share. None: the last layer.

    Raises:
        UsageError: The residual lies outside [0, 1], or the depth outside 1 to L.
    """

    residual: Residual = 0.5
    depth: PositiveInt | None = None

    def explain(self, model: FlowModel, batch: Batch) -> list[Explanation]:
        """Multiplies the attention of every instance."""
        graph = attention_graph(model, batch, self.residual).double()
        graph[:, depth_of(self.depth, model) :] = torch.eye(graph.shape[-1], dtype=graph.dtype, device=graph.device)
        return rolled_out(batch, graph)


def rolled_out(batch: Batch, graph: Graph, edges: bool = False) -> list[Explanation]:
    """Tokens, nodes and flows of a graph whose rows sum to 1, as `AttentionRollout` reads them, and the graph itself as edges.

    Args:
        batch: The B instances.
        graph: Weights of the edges from each query, in the layer above, to each key (B, L, N, N).
        edges: Whether the graph is a view of the explanations, as that of a single head.
    """
    assert batch.target is not None
    nodes = target_rows(graph, batch.target)
    flows = (rollout(graph).transpose(2, 3) * nodes[:, :, None]).transpose(1, 2)
    explained = partial(explanations, batch, tokens=nodes[:, 0], nodes=nodes, flows=flows)
    return explained(edges=graph[:, :, None]) if edges else explained()


def target_rows(graph: Graph, target: Int[Tensor, " batch"]) -> Float[Tensor, "batch depths tokens"]:
    """The target's row of R_L ... R_{l+1} for l = 0..L: L products of a row and a matrix, from the top layer down.

    >>> target_rows(torch.tensor([[[[0.5, 0.5], [0.0, 1.0]], [[0.75, 0.25], [0.5, 0.5]]]]), torch.tensor([0])).tolist()
    [[[0.375, 0.625], [0.75, 0.25], [1.0, 0.0]]]
    """
    rows = [torch.nn.functional.one_hot(target, graph.shape[-1]).to(graph.dtype)]
    for layer in reversed(graph.unbind(1)):
        rows.append(torch.einsum("bi,bip->bp", rows[-1], layer))
    return torch.stack(rows[::-1], 1)


def rollout(graph: Graph) -> Float[Tensor, "batch depths tokens tokens"]:
    """T_l = R_l ... R_1 for l = 0..L; row i has the share of each word in the attention of position i at hidden[l].

    >>> rollout(torch.tensor([[[[0.5, 0.5], [0.0, 1.0]], [[0.75, 0.25], [0.5, 0.5]]]]))[0, 2].tolist()
    [[0.375, 0.625], [0.25, 0.75]]
    """
    products = [torch.eye(graph.shape[-1], dtype=graph.dtype, device=graph.device).expand_as(graph[:, 0])]
    for layer in graph.unbind(1):
        products.append(layer @ products[-1])
    return torch.stack(products, 1)
