"""Gaussian noise for word vectors, drawn for each instance from its own seed."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ...models.batch import Batch
from ...models.layered import Layered
from ...models.shapes import Words


class WordNoise:
    """Draws of noise for the words of a batch. What an instance gets depends on its seed and on its earlier draws alone.

    Padding, how many draws are taken at once, and the model's type change nothing: noise is drawn on the CPU in float32, an
    instance's own words at a time.

    Args:
        model: The model.
        batch: The instances.
        share: Standard deviation of the noise, as a share of each instance's `value_range`.
        noisy: The positions that get noise.

    Attributes:
        generators: A generator for each instance, for other draws beside the noise.
    """

    def __init__(self, model: Layered, batch: Batch, share: float, noisy: Bool[Tensor, "batch tokens"]) -> None:
        self.generators = batch.generators()
        self._lengths, self._noisy = batch.lengths, noisy[..., None]
        self._deviation = share * value_range(model, batch)[:, None, None]
        self._shape = model.words(batch).shape[1:]

    def draw(self, row: Int[Tensor, " rows"]) -> Words:
        """The next noise of each of these rows (R, N, E), 0 where a position gets none."""
        noise = torch.zeros(len(row), *self._shape)
        for place, instance in enumerate(row.tolist()):
            own = noise[place, : self._lengths[instance]]
            own.normal_(generator=self.generators[instance])
        deviation = self._deviation[row]
        return torch.where(self._noisy[row], noise.to(deviation) * deviation, 0.0)


def value_range(model: Layered, batch: Batch) -> Float[Tensor, " batch"]:
    """The largest entry of each instance's word vectors minus the smallest, over the positions that may be masked."""
    words, fixed = model.words(batch).detach(), ~model.maskable(batch)[..., None]
    return words.masked_fill(fixed, -torch.inf).amax((1, 2)) - words.masked_fill(fixed, torch.inf).amin((1, 2))
