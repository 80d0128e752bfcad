"""Masks of single instances by REINFORCE: gates without a gradient, for comparison with DiffMask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ...models.shapes import PerRow
from ..base import method
from .mask_search import Logits, MaskObjective, MaskProblem, MaskSearch

Scale = Literal["none", "lambda"]
SMOOTHING = 0.99
"""Weight of the past in the running mean of the cost."""


@method(
    "reinforce-mask",
    gives={"tokens", "mask"},
    version=2,
    stochastic=True,
    source="Williams 1992, Simple Statistical Gradient-Following Algorithms; De Cao et al. 2020, section 4",
    misleads="The estimate of the gradient is noisy: in the source it finds a smallest set for 9 % of the sentences, against "
    "33 % by gates with gradients (De Cao et al. 2020, table 2). As with all masks of one sentence, the words found "
    "may be others than those that the model uses.",
)
@dataclass(frozen=True)
class ReinforceMask(MaskSearch):
    """Probability that the model needs each word, by REINFORCE for one sentence alone (De Cao et al. 2020).

    The objective of `diffmask-single` with z ~ Bernoulli(sigmoid(logit)); the gradient of the divergence is estimated by
    (c - b) grad log P(z), c = KL - margin, b the running mean of c (0.99, from 0). Source: Williams 1992; De Cao et al. 2020,
    section 4 ("REINFORCE+").

    Attributes:
        reinforce_scale: `none`, as in the published code, leaves lambda out of the estimate, so that lambda has no effect;
            `lambda` estimates the gradient of the objective itself.
    """

    reinforce_scale: Scale = "none"

    def objective(
        self, problem: MaskProblem, logits: Logits, uniform: Logits, weight: PerRow, state: dict[str, Tensor]
    ) -> MaskObjective:
        """A loss whose gradient is the estimate; no gradient flows through the drawn masks."""
        masks = (uniform < torch.sigmoid(logits.detach())).to(logits)
        with torch.no_grad():
            divergence = problem.divergence(masks)
        cost = divergence - self.margin
        average = state.get("average", torch.zeros_like(cost))
        state["average"] = SMOOTHING * average + (1 - SMOOTHING) * cost
        scale = weight if self.reinforce_scale == "lambda" else 1.0
        log_p = (log_probability(logits, masks) * problem.free).sum(1)
        sparsity = problem.mean(torch.sigmoid(logits) if self.penalty == "l0" else torch.nn.functional.logsigmoid(logits))
        return MaskObjective(scale * (cost - average) * log_p + sparsity, divergence)

    def kept(self, logits: Logits) -> Logits:
        """The probability P(z = 1) of every word."""
        return torch.sigmoid(logits)


def log_probability(logits: Logits, masks: Logits) -> Logits:
    """log P(z) of each drawn mask z, by its logit.

    >>> log_probability(torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 0.0]])).exp()
    tensor([[0.5000, 0.5000]])
    """
    return torch.nn.functional.logsigmoid((2 * masks - 1) * logits)
