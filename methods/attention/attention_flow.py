"""Attention flow (Abnar & Zuidema 2020): how much could reach the target if attention were the capacity of pipes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ...models.batch import Batch
from ...models.flow.flow_model import FlowModel
from ..base import method
from ..explanation import Explanation
from .attention_graph import attention_graph, check_depth, check_residual, depth_of
from .max_flow import target_flows


@method(
    "attention-flow",
    gives={"tokens", "nodes"},
    needs={"transformer", "target"},
    source="Abnar & Zuidema 2020, Quantifying Attention Flow in Transformers, section 3",
)
@dataclass(frozen=True)
class AttentionFlow:
    """Maximum flow from the target to each word, with attention weights as capacities (Abnar & Zuidema 2020).

    The edge from (l + 1, i) to (l, p) has capacity residual * [i = p] + (1 - residual) * mean over heads of A_l[i, p];
    nodes[l, i] is the maximum flow from the target at the last layer to node (l, i), each node a problem of its own, and tokens
    is its row l = 0. Rows of capacities sum to 1, so nodes[l, i] is also the most that can flow from the target to the words
    through that node. Source: Abnar & Zuidema 2020, section 3 (tokens; nodes ask the same of inner nodes). Shares of what leaves
    the target, in [0, 1]: at least attention rollout's, at most what the word's own edges carry; with `normalise` every layer
    is divided by its sum, as the paper does with each row. They have no sign, and differ little between the words of deep
    models. Cost: N (L - 2) flow problems, each of a graph with up to N^2 L edges.

    Attributes:
        residual: Weight of the residual connection.
        depth: Layer whose target row is read, counted from 1; the layers above pass the target on. None: the last.
        normalise: Whether the scores of a layer sum to 1.

    Raises:
        UsageError: A residual outside [0, 1], a depth outside 1 to L.
    """

    residual: float = 0.5
    depth: int | None = None
    normalise: bool = True

    def __post_init__(self) -> None:
        check_residual(self.residual)
        check_depth(self.depth)

    def explain(self, model: FlowModel, batch: Batch) -> list[Explanation]:
        """Tokens and nodes of every instance."""
        assert batch.target is not None
        graphs = attention_graph(model, batch, self.residual)[:, : depth_of(self.depth, model)].double().cpu().numpy()
        made = []
        for graph, n, target in zip(graphs, batch.lengths, batch.target.tolist(), strict=True):
            flows = target_flows(graph[:, :n, :n], target)
            nodes = np.concatenate([flows, np.repeat(flows[-1:], model.n_layers - len(graph), 0)])
            if self.normalise:
                nodes /= nodes.sum(1, keepdims=True)
            made.append(Explanation(tokens=nodes[0], nodes=nodes))
        return made
