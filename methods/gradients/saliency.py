"""Gradients at the word vectors, computed by captum: saliency, and gradient times input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import torch

from ...core.settings import Settings
from ...models.batch import Batch
from ...models.layered import Layered
from ..base import explanations, method
from ..explanation import Explanation
from ..perturbation.captum_words import forward_of_words

NORMS = {"l1": 1.0, "l2": 2.0}


@method(
    "saliency",
    gives={"tokens"},
    source="Simonyan et al. 2014, Deep Inside Convolutional Networks, section 3; norms as in Li et al. 2016, section 5",
    misleads="It says where q is sensitive, and not which words speak for the answer: it has no sign, and is near 0 for the "
    "words that decide a saturated output (Sundararajan et al. 2017, section 2.1). Gradients of deep networks are "
    "noisy (Smilkov et al. 2017).",
)
@dataclass(frozen=True)
class Saliency(Settings):
    """Norm of the gradient of q at each word vector (Simonyan et al. 2014).

    tokens[j] = ||dq/dx_j||. Source: Simonyan et al. 2014, section 3 (largest absolute entry there); norms as in Li et al. 2016,
    section 5. Units of q per unit of the vectors; at least 0, without a sign; 0 at positions that the model does not allow to be
    masked.

    Attributes:
        norm: `l2`, or `l1` (the sum of absolute entries).
    """

    norm: Literal["l1", "l2"] = "l2"
    loads: ClassVar[tuple[str, ...]] = ("captum.attr",)

    def explain(self, model: Layered, batch: Batch) -> list[Explanation]:
        """Computes the gradients of every instance."""
        from captum.attr import Saliency as Captum

        words, row = _inputs(model, batch)
        gradients = Captum(forward_of_words(model, batch)).attribute(words, abs=False, additional_forward_args=(row,))
        return explanations(batch, tokens=gradients.norm(NORMS[self.norm], dim=-1) * model.maskable(batch))


@method(
    "gradient-x-input",
    gives={"tokens"},
    source="Shrikumar et al. 2016, Not Just a Black Box, section 2",
    misleads="It treats q as linear, so that the words that decide a saturated output score near 0 (Sundararajan et al. 2017, "
    "section 2.1). It compares each word with a vector of zeros, which is no word.",
)
@dataclass(frozen=True)
class GradientXInput:
    """Gradient of q at each word vector times the vector (Shrikumar et al. 2016).

    tokens[j] = <dq/dx_j, x_j>: the decrease of q, to first order at x, when x_j is set to 0. Source: Shrikumar et al. 2016,
    section 2 (gradient times input). Units of q; signed; unbounded; 0 at positions that the model does not allow to be masked.
    """

    loads: ClassVar[tuple[str, ...]] = ("captum.attr",)

    def explain(self, model: Layered, batch: Batch) -> list[Explanation]:
        """Computes the gradients of every instance."""
        from captum.attr import InputXGradient

        words, row = _inputs(model, batch)
        products = InputXGradient(forward_of_words(model, batch)).attribute(words, additional_forward_args=(row,))
        return explanations(batch, tokens=products.sum(-1) * model.maskable(batch))


def _inputs(model: Layered, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
    """Word vectors as a leaf of the graph of gradients, and the index of every row."""
    words = model.words(batch).detach().clone().requires_grad_(True)
    return words, torch.arange(len(batch), device=words.device)
