"""Raw attention: the attention weights themselves as an explanation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from pydantic import PositiveInt

from ...core.settings import Settings
from ...models.batch import Batch
from ...models.flow.flow_model import FlowModel
from ..base import explanations, method
from ..explanation import Explanation
from .attention_graph import attention_maps, depth_of


@method(
    "raw-attention",
    gives={"tokens", "edges"},
    needs={"transformer", "target"},
    source="Abnar & Zuidema 2020, Quantifying Attention Flow in Transformers, section 4; Hao et al. 2021, section 5.1",
    misleads="In upper layers the state at a position mixes all words, so that attention to a position is not attention to its "
    "word: the rank correlation with blanking words out is below 0 in layers 3 and 4 of 6 (Abnar & Zuidema 2020, "
    "table 1). Much of the weight on separators has no effect (Clark et al. 2019).",
)
@dataclass(frozen=True)
class RawAttention(Settings):
    """Attention weights of every head, and the target's mean attention to each word (Abnar & Zuidema 2020).

    edges[l, h, i, p] = A_l,h[i, p], the weight of position p for position i; tokens[j] = mean over heads of A_L[target, j].
    A token's score is that of its position at the layer before, not of the word itself, which rollout corrects. Source: Abnar &
    Zuidema 2020, section 4 ("raw attention"); heads are read from edges as in Hao et al. 2021, section 5.1 (largest weight).
    Shares in [0, 1]; rows of edges, and tokens, sum to 1; they have no sign.

    Attributes:
        depth: Layer that tokens are read from, counted from 1. None: the last layer.

    Raises:
        UsageError: The depth lies outside 1 to L.
    """

    depth: PositiveInt | None = None

    def explain(self, model: FlowModel, batch: Batch) -> list[Explanation]:
        """Reads the attention weights of every instance."""
        assert batch.target is not None
        maps, rows = attention_maps(model, batch), torch.arange(len(batch), device=batch.ids.device)
        tokens = maps[depth_of(self.depth, model) - 1][rows, :, batch.target].mean(1)
        return explanations(batch, tokens=tokens, edges=torch.stack(maps, 1))
