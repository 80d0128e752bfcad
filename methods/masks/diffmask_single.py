"""DiffMask without amortisation: hard concrete gates of one instance's words, trained on that instance alone."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ...models.shapes import PerRow
from ..base import method
from .hard_concrete import HardConcrete
from .mask_search import Logits, MaskObjective, MaskProblem, MaskSearch


@method(
    "diffmask-single",
    gives={"tokens", "mask"},
    stochastic=True,
    source="De Cao et al. 2020, How do Decisions Emerge across Layers in Neural Models?, section 4",
)
@dataclass(frozen=True)
class DiffMaskSingle(MaskSearch):
    """Probability that the model needs each word, by gates trained for one sentence alone (De Cao et al. 2020).

    For every sentence apart, with z ~ HardConcrete(log alpha), one log alpha a word, from 5 on:

        min over log alpha, max over lambda in [0, 200] of  lambda (KL(clean || masked) - margin) + mean_words log P(z != 0)

    `mask` is P(z != 0), the same at every depth, and masks the words; `tokens` is the same. Source: De Cao et al. 2020, section 4
    ("non-amortised"); their published code for the logarithm and the ranges, with faster learning rates, since theirs cannot move
    the gates in the steps it takes.
    """

    def objective(
        self, problem: MaskProblem, logits: Logits, uniform: Logits, weight: PerRow, state: dict[str, Tensor]
    ) -> MaskObjective:
        """Reparameterised: the gradient passes through the gates drawn."""
        gates = HardConcrete(logits)
        lost = problem.divergence(gates.sample(uniform))
        return MaskObjective(weight * (lost - self.margin) + problem.mean(gates.log_kept()), lost.detach())

    def kept(self, logits: Logits) -> Logits:
        """P(z != 0)."""
        return HardConcrete(logits).kept()

    def gate(self, logits: Logits) -> Logits:
        """E[z]."""
        return HardConcrete(logits).mean()
