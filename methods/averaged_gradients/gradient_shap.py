"""Gradient SHAP (Lundberg & Lee 2017): gradients at random points between noisy baselines and the input.

Not by captum's GradientShap: it runs all points of a batch at once, and draws for the whole batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor

from ...core.settings import Settings
from ...models.baseline import Baseline, baseline_words, moving_words
from ...models.batch import Batch
from ...models.layered import Layered
from ...models.shapes import Words
from ..base import explanations, method
from ..explanation import Explanation
from ..perturbation.captum_words import forward_of_words
from .word_gradients import summed_products
from .word_noise import WordNoise


@method(
    "gradient-shap",
    gives={"tokens"},
    stochastic=True,
    source="Lundberg & Lee 2017, A Unified Approach to Interpreting Model Predictions; expected gradients in Erion et al. 2021",
    misleads="In expectation it is integrated gradients, averaged over baselines, and no Shapley values unless q is linear or "
    "additive. Points are random: with few samples the scores miss their sum, so read the completeness error and compare seeds.",
)
@dataclass(frozen=True)
class GradientShap(Settings):
    """Expected gradient at a random point between a noisy baseline and the input, times their difference (Erion et al. 2021).

    tokens[j] = E[<x_j - b_j, dq/dz_j>] at z = b + a (x - b), with a uniform on [0, 1] and b = x_b + e: the baseline with
    independent normal noise of standard deviation `noise` times the range of the instance's word vectors (largest entry minus
    smallest). Each sample draws both. In expectation tokens sum to q(x) - E[q(b)]; `q_baseline` is the mean of q(b) over the
    samples drawn. Source: Lundberg & Lee 2017, whose software has it; Erion et al. 2021, section on expected gradients, who draw
    b from the training data, which a method does not see here. captum adds the noise to the input; here it is added to the
    baseline, because the sum would else be relative to another input. Units of q; signed. Words that equal the baseline get no
    noise and score 0.

    Cost: `samples` forward and backward passes, and as many forward passes for `q_baseline`.

    Attributes:
        samples: Number of random points; the error falls with its square root.
        noise: Standard deviation of the noise, as a share of the range of the word vectors; 0 is integrated gradients by random
            points.
        baseline: Word vectors around which baselines are drawn; on decoders the default is `pad`.
    """

    samples: PositiveInt = 100
    noise: NonNegativeFloat = 0.1
    baseline: Baseline = "mask"

    def explain(self, model: Layered, batch: Batch) -> list[Explanation]:
        """Averages over the random points of every instance."""
        x, forward = model.words(batch).detach(), forward_of_words(model, batch)
        x_b = baseline_words(model, batch, self.baseline).detach()
        noise = WordNoise(model, batch, self.noise, moving_words(model, batch, self.baseline))
        shares = torch.cat([torch.rand(self.samples, generator=generator) for generator in noise.generators]).to(x)
        row = torch.arange(len(batch), device=x.device).repeat_interleave(self.samples)
        q_start = torch.zeros(len(row), dtype=torch.float64, device=x.device)

        def points(part: Tensor) -> tuple[Words, Words]:
            start, end = x_b[row[part]] + noise.draw(row[part]), x[row[part]]
            with torch.no_grad():
                q_start[part] = forward(start, row[part]).double()
            return torch.lerp(start, end, shares[part, None, None]), end - start

        tokens = summed_products(model, batch, row, points) / self.samples
        values = [{"q_baseline": float(q)} for q in q_start.unflatten(0, (-1, self.samples)).mean(1)]
        return explanations(batch, tokens=tokens, values=values)
