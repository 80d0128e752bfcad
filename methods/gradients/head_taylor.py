"""First-order head importance (Michel et al. 2019)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch

from ...core.settings import Settings
from ...models.batch import Batch
from ...models.flow.flow_model import FlowModel
from ..base import explanations, method
from ..explanation import Explanation
from .context_gradients import check_classes_for, context_gradients

TaylorObjective = Literal["loss", "quantity", "logit_sum"]
Absolute = Literal["head", "token"]


@method(
    "head-taylor",
    gives={"heads"},
    needs={"transformer"},
    source="Michel et al. 2019, Are Sixteen Heads Really Better than One?, section 4.1",
    misleads="It estimates the removal of one head to first order: heads that stand in for each other all look dispensable, "
    "although they cannot go together. The absolute value hides whether a head helps or harms.",
)
@dataclass(frozen=True)
class HeadTaylor(Settings):
    """First-order estimate of the change of the loss when one head is removed (Michel et al. 2019).

    heads[l, h] = |sum_i <c_i, dF/dc_i>| with c_i the head's context vector at position i: the derivative of F by a gate on the
    head, and by the chain rule also sum_ij A_ij dF/dA_ij. Source: Michel et al. 2019, section 4.1, where the importance of a head
    is the mean of this over instances. Units of F; not negative; larger is more important. One forward and one backward pass.

    Where published code departs from the formulas, a setting follows the code: the code of Michel et al. takes absolute values
    position by position (`absolute="token"`), and the code of Hao et al. 2021 differentiates the sum of all logits instead of the
    loss (`objective="logit_sum"`). Michel et al. divide the mean over instances by each layer's norm; an explanation is of one
    instance, so `normalise` divides the scores of each instance, which gives other means.

    Attributes:
        objective: The scalar F: the cross-entropy of the answer (`loss`, nats), the batch's `quantity`, or `logit_sum`.
        absolute: Absolute value of each head's sum over positions (`head`), or of every position before summing (`token`).
        normalise: Whether each layer's scores are divided by their L2 norm, so that layers have the same scale.

    Raises:
        UsageError: The objective or the kind of absolute value is none of these.
    """

    objective: TaylorObjective = "loss"
    absolute: Absolute = "head"
    normalise: bool = False

    def explain(self, model: FlowModel, batch: Batch) -> list[Explanation]:
        """Computes the head scores of every instance."""
        check_classes_for(model, self.objective, "objective")
        trace, gradients = context_gradients(model, batch, self.objective)
        gates = [(trace.site("context", layer).detach() * gradient).sum(-1) for layer, gradient in enumerate(gradients)]
        by_token = torch.stack(gates, 1)  # (B, L, N, A)
        heads = by_token.sum(2).abs() if self.absolute == "head" else by_token.abs().sum(2)
        return explanations(batch, heads=torch.nn.functional.normalize(heads, dim=-1, eps=1e-20) if self.normalise else heads)
