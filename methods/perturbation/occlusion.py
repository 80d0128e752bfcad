"""Occlusion (Zeiler & Fergus 2014): q without windows of consecutive words.

Not by captum's Occlusion, which takes one sentence at a time, because sentences of a batch differ in length.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from pydantic import PositiveInt

from ...core.settings import Settings
from ...models.baseline import Baseline
from ...models.batch import Batch
from ...models.layered import Layered
from ..base import explanations, method
from ..explanation import Explanation
from .leave_one_out import decreases


@method(
    "occlusion",
    gives={"tokens"},
    source="Zeiler & Fergus 2014, Visualizing and Understanding Convolutional Networks, section 3",
    misleads="Words share the scores of the windows that they are in, so that a word beside an important one scores high without "
    "any effect of its own; words at the ends are in fewer windows. A text with a gap is unlike those that the model was trained "
    "on.",
)
@dataclass(frozen=True)
class Occlusion(Settings):
    """Decrease of q when a window of consecutive words is replaced, averaged over windows (Zeiler & Fergus 2014).

    tokens[j] is the mean of q(x) - q(x without W) over the windows W of `window` consecutive tokens that contain j; a text with
    fewer tokens is one window. The vectors of a window's tokens are the baseline's, and those of positions that the model does
    not allow to be masked stay: such positions score 0, and windows of nothing else are left out. With `window=1` it is
    `leave-one-out`. Source: Zeiler & Fergus 2014, section 3, who cover squares of images by grey. Units of q; signed; unbounded.

    Cost: a forward pass for each window, n - `window` + 1.

    Attributes:
        window: Tokens of a window.
        baseline: Word vector of replaced words; on decoders the default is `pad`.
    """

    window: PositiveInt = 3
    baseline: Baseline = "mask"

    @torch.no_grad()
    def explain(self, model: Layered, batch: Batch) -> list[Explanation]:
        """Runs every instance without each of its windows."""
        maskable, places = model.maskable(batch), torch.arange(batch.ids.shape[1], device=batch.ids.device)
        lengths = batch.attention_mask.sum(1, keepdim=True)
        size = lengths.clamp(max=self.window)
        row, first = (places <= lengths - size).nonzero(as_tuple=True)
        inside = (places >= first[:, None]) & (places < first[:, None] + size[row]) & maskable[row]
        some = inside.any(1)
        row, inside = row[some], inside[some].to(model.dtype)
        decrease = decreases(model, batch, row, inside.bool(), self.baseline)
        count = torch.zeros_like(maskable, dtype=model.dtype)
        total = torch.zeros_like(count).index_add_(0, row, decrease[:, None] * inside)
        return explanations(batch, tokens=total / count.index_add_(0, row, inside).clamp(min=1))
