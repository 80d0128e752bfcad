"""SmoothGrad (Smilkov et al. 2017): gradients averaged over noisy word vectors, times the input.

Not by captum's NoiseTunnel: it draws for a whole batch, and for one instance the draws depend on how many run at once.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from pydantic import NonNegativeFloat, PositiveInt
from torch import Tensor

from ...core.settings import Settings
from ...models.batch import Batch
from ...models.layered import Layered
from ...models.shapes import Words
from ..base import explanations, method
from ..explanation import Explanation
from .word_gradients import summed_products
from .word_noise import WordNoise


@method(
    "smooth-grad",
    gives={"tokens"},
    stochastic=True,
    source="Smilkov et al. 2017, SmoothGrad: removing noise by adding noise, section 3",
    misleads="Noisy vectors are those of no word: with much noise it explains the model far from the text, and the mean itself "
    "is noisy, so compare seeds. It averages slopes near the input: words that decide an output that is saturated there score "
    "near 0.",
)
@dataclass(frozen=True)
class SmoothGrad(Settings):
    """Gradient of q averaged over noisy word vectors, times the vectors (Smilkov et al. 2017).

    tokens[j] = <E[dq/dx_j (x + e)], x_j>, where all entries of e are independent and normal with mean 0 and standard deviation
    `noise` times the range of the instance's word vectors (largest entry minus smallest). The factor is the input without its
    noise, so that `noise=0` is `gradient-x-input`; the product with the noisy input would add the curvature of q. Source: Smilkov
    et al. 2017, section 3, who explain images by the averaged gradient itself, with 10 to 20 % noise and 50 samples. Units of q;
    signed; 0 at positions that the model does not allow to be masked, which get no noise.

    Cost: `samples` forward and backward passes.

    Attributes:
        samples: Number of noisy copies; the error of the mean falls with its square root.
        noise: Standard deviation of the noise, as a share of the range of the word vectors.
    """

    samples: PositiveInt = 50
    noise: NonNegativeFloat = 0.15

    def explain(self, model: Layered, batch: Batch) -> list[Explanation]:
        """Averages the gradients of every instance."""
        x, noise = model.words(batch).detach(), WordNoise(model, batch, self.noise, model.maskable(batch))
        row = torch.arange(len(batch), device=x.device).repeat_interleave(self.samples)

        def points(part: Tensor) -> tuple[Words, Words]:
            return x[row[part]] + noise.draw(row[part]), x[row[part]]

        return explanations(batch, tokens=summed_products(model, batch, row, points) / self.samples)
