"""DiffMask without amortisation: hard concrete gates of the words of one instance, trained on that instance alone."""

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
    version=2,
    stochastic=True,
    source="De Cao et al. 2020, How do Decisions Emerge across Layers in Neural Models?, section 4",
    misleads="Gates that are fitted to one sentence may find words by which the model happens to give the same output, rather "
    "than those that it uses (De Cao et al. 2020). It has no sign.",
)
@dataclass(frozen=True)
class DiffMaskSingle(MaskSearch):
    """Probability that the model needs each word, by gates trained for one sentence alone (De Cao et al. 2020).

    For every sentence separately, with z ~ HardConcrete(log alpha) and one log alpha for each word, which starts at 5:

        min over log alpha, max over lambda in [0, 200] of  lambda (KL(clean || masked) - margin) + mean_words P(z != 0)

    or the mean of log P(z != 0) with `penalty=log`. `tokens` is P(z != 0), and so is `mask` unless `readout=prefix`; it is the
    same at every depth and masks the words. Source: De Cao et al. 2020, section 4 ("non-amortised"); their published code for the
    logarithm and the ranges, with larger learning rates, since theirs cannot close the gates within the number of steps.
    """

    def objective(
        self, problem: MaskProblem, logits: Logits, uniform: Logits, weight: PerRow, state: dict[str, Tensor]
    ) -> MaskObjective:
        """The Lagrangian at drawn gates, reparameterised: the gradient passes through the draws."""
        gates = HardConcrete(logits)
        divergence = problem.divergence(gates.sample(uniform))
        sparsity = problem.mean(gates.kept() if self.penalty == "l0" else gates.log_kept())
        return MaskObjective(weight * (divergence - self.margin) + sparsity, divergence.detach())

    def kept(self, logits: Logits) -> Logits:
        """The probability P(z != 0) of every word."""
        return HardConcrete(logits).kept()

    def gate(self, logits: Logits) -> Logits:
        """The expected gate E[z] of every word."""
        return HardConcrete(logits).mean()
