"""Attention paths: the strongest route from each word to the target by the model's attention weights."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ...core.settings import Settings
from ...models.batch import Batch
from ...models.flow.flow_model import FlowModel
from ...models.flow.graph import Patterns
from ..base import explanations, method
from ..explanation import Explanation
from ..views import best_paths
from .attention_graph import Residual, attention_graph


@method(
    "attention",
    gives={"edges", "patterns"},
    needs={"transformer", "target"},
    source="Abnar & Zuidema 2020, Quantifying Attention Flow in Transformers, section 3; Lu et al. 2021, section 4.4",
    misleads="Attention says where heads read, and not what they do with it: other weights can give the same output (Jain & "
    "Wallace 2019), and a vector of small norm is read to little effect (Kobayashi et al. 2020). Paths have no sign, "
    "so that a word against the answer looks like one for it.",
)
@dataclass(frozen=True)
class AttentionPaths(Settings):
    """Paths with the largest product of attention weights from each word to the target (Abnar & Zuidema 2020).

    Edge weight (l, i, p) = residual * [i = p] + (1 - residual) * mean over heads of A_l[i, p], on the input itself; the best
    path of every word is found by dynamic programming. Source: Abnar & Zuidema 2020, section 3 (the residual as 0.5 I + 0.5 A);
    baseline of Lu et al. 2021, section 4.4. Products lie in [0, 1]; they have no sign.

    Attributes:
        residual: Weight of the residual connection, in [0, 1].
    """

    residual: Residual = 0.5

    def explain(self, model: FlowModel, batch: Batch) -> list[Explanation]:
        """Finds the edges and the best path of every word of every instance."""
        edges = attention_graph(model, batch, self.residual)
        assert batch.target is not None
        weights = edges.to("cpu", torch.float64).numpy()
        patterns = [
            _as_patterns(graph[:, :n, :n], target)
            for graph, n, target in zip(weights, batch.lengths, batch.target.tolist(), strict=True)
        ]
        return explanations(batch, edges=edges[:, :, None], patterns=patterns)


def _as_patterns(edges: np.ndarray, target: int) -> Patterns:
    paths = best_paths(edges, target)
    return Patterns(np.arange(edges.shape[-1]), paths.product, paths.product, paths.positions[..., None])
