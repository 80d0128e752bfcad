"""Attention flow (Abnar & Zuidema 2020): maximum flow in a graph whose capacities are attention weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from pydantic import PositiveInt

from ...core.settings import Settings
from ...models.batch import Batch
from ...models.flow.flow_model import FlowModel
from ..base import method
from ..explanation import Explanation
from .attention_graph import Residual, attention_graph, depth_of
from .max_flow import target_flows


@method(
    "attention-flow",
    gives={"tokens", "nodes"},
    needs={"transformer", "target"},
    source="Abnar & Zuidema 2020, Quantifying Attention Flow in Transformers, section 3",
    misleads="In deep models the flows of all words are nearly equal (.49 to .51 on a MiniLM of 6 layers), and the ranking is "
    "decided in the third digit. As in rollout, neither values nor the explained answer are read.",
)
@dataclass(frozen=True)
class AttentionFlow(Settings):
    """Maximum flow from the target to each word, with attention weights as capacities (Abnar & Zuidema 2020).

    The edge from (l + 1, i) to (l, p) has capacity residual * [i = p] + (1 - residual) * mean over heads of A_l[i, p];
    nodes[l, i] is the maximum flow from the target at the last layer to node (l, i), solved for each node separately, and tokens
    is its row l = 0. Rows of capacities sum to 1, so nodes[l, i] is also the largest flow from the target to the words
    through that node. Source: Abnar & Zuidema 2020, section 3 (tokens; nodes are the same quantity of inner nodes). Shares of the
    flow out of the target, in [0, 1]: at least attention rollout's, at most the sum of the word's own edges; with `normalise`
    every layer is divided by its sum, as the paper does with each row. They have no sign, and differ little between the words of
    deep models. Cost: N (L - 2) flow problems, each of a graph with up to N^2 L edges.

    Attributes:
        residual: Weight of the residual connection, in [0, 1].
        depth: Layer from which the flow starts, counted from 1; above it only the target has flow. None: the last layer.
        normalise: Whether the scores of every layer are divided by their sum.

    Raises:
        UsageError: The residual lies outside [0, 1], or the depth outside 1 to L.
    """

    residual: Residual = 0.5
    depth: PositiveInt | None = None
    normalise: bool = True

    def explain(self, model: FlowModel, batch: Batch) -> list[Explanation]:
        """Solves the flow problems of every instance."""
        assert batch.target is not None
        graphs = attention_graph(model, batch, self.residual)[:, : depth_of(self.depth, model)].double().cpu().numpy()
        explained = []
        for graph, n, target in zip(graphs, batch.lengths, batch.target.tolist(), strict=True):
            flows = target_flows(graph[:, :n, :n], target)
            nodes = np.concatenate([flows, np.repeat(flows[-1:], model.n_layers - len(graph), 0)])
            if self.normalise:
                nodes /= nodes.sum(1, keepdims=True)
            explained.append(Explanation(tokens=nodes[0], nodes=nodes))
        return explained
