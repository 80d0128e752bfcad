"""Edge attribution patching, with integrated gradients (Hanna et al. 2024) and without (Syed et al. 2023)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
from pydantic import Field

from ...core.settings import Settings
from ...models.batch import Batch
from ...models.circuits.edge_gradients import edge_effects
from ...models.flow.flow_model import FlowModel
from ..base import explanations, method
from ..explanation import Explanation

Points = Literal["published", "midpoint"]


@method(
    "attribution-patching",
    gives={"circuit", "nodes", "tokens"},
    needs={"transformer"},
    source="Nanda 2023, Attribution Patching; for edges, Syed et al. 2023, Attribution Patching Outperforms Automated Circuit "
    "Discovery, section 3",
    misleads="It is one step along the gradient at the text: where attention is saturated or a block is far from linear between "
    "text and counterpart, edges that matter score near 0 (Hanna et al. 2024, section 3). A word that is the same in both texts "
    "scores 0 whatever it does.",
)
@dataclass(frozen=True)
class AttributionPatching(Settings):
    """Difference between text and counterpart times the gradient, for every edge and state (Nanda 2023; Syed et al. 2023).

    score(w -> r) = sum over positions of <w(x) - w(x'), J^T dq/dr>, where x is the text, x' its counterpart, w(x) what the
    writer writes, dq/dr the gradient of the reader's input at the text, and J the derivative of the reader's residual stream by
    the writer: the identity unless norms stand between, as in BERT. nodes[l, i] = <h_l,i(x) - h_l,i(x'), dq/dh_l,i>; tokens are
    nodes at the input. To first order, this much of q is lost when the counterpart's value is put in. Units of q; unbounded;
    positive: the text's value supports the answer.
    """

    def explain(self, model: FlowModel, batch: Batch) -> list[Explanation]:
        """Scores every edge of every instance."""
        return _explained(model, batch, torch.ones(1))


@method(
    "eap-ig",
    gives={"circuit", "nodes", "tokens"},
    needs={"transformer"},
    source="Hanna et al. 2024, Have Faith in Faithfulness: Going Beyond Circuit Overlap When Finding Model Mechanisms, section 3",
    misleads="Circuits differ much between samples of sentences and with the number of edges that are kept, and depend on the "
    "counterpart: what text and counterpart share is never found. Edges are scored one by one, so that a backup that works only "
    "when another head fails scores near 0.",
)
@dataclass(frozen=True)
class EapIg(Settings):
    """Edge attribution patching with gradients averaged from counterpart to text (Hanna et al. 2024).

    As `attribution-patching`, with the mean of the gradients at h' + alpha_s (h - h'), where h and h' are the embeddings of text
    and counterpart (hidden[0]). The sum of the embedding's edges, which is that of the tokens, approaches q(x) - q(x') as steps
    grow; `completeness_error` is the distance. On models that normalise after each block (BERT) a reader's gradient is carried to
    the writer through the norms between them, along the residual stream alone. Units of q; unbounded; positive: the text's value
    supports the answer.

    Attributes:
        steps: Number of gradients, m.
        points: Where they are taken: `published`, alpha_s = 1/m, 2/m, ..., 1; or `midpoint`, (s - 1/2) / m.
    """

    steps: Annotated[int, Field(ge=1, le=1000)] = 5
    points: Points = "published"

    def explain(self, model: FlowModel, batch: Batch) -> list[Explanation]:
        """Scores every edge of every instance."""
        first = 1.0 if self.points == "published" else 0.5
        return _explained(model, batch, (torch.arange(self.steps, dtype=torch.float64) + first) / self.steps)


def _explained(model: FlowModel, batch: Batch, points: torch.Tensor) -> list[Explanation]:
    """Explanations from the mean effects at some points between counterpart and text."""
    effects = edge_effects(model, batch, points.to(model.device))
    tokens = effects.nodes[:, 0]
    error = (tokens.sum(1) - (effects.q - effects.q_counterpart)).abs()
    values = [{"completeness_error": float(e), "q_baseline": float(b)} for e, b in zip(error, effects.q_counterpart, strict=True)]
    return explanations(batch, circuit=effects.circuit, nodes=effects.nodes, tokens=tokens, values=values)
