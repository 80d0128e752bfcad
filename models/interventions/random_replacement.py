"""Random replacement of states while a model is trained, so that reduced models are among what it was trained on.

A model that was only ever trained whole is out of its distribution when an ablation replaces states, and its score then tells how
it bears missing states. Training it with states replaced at random (Hase, Xie and Bansal 2021, section 4, on inputs; Zheng et al.
2025, F-Fidelity, on inputs of any classifier) makes the reduced models part of what it knows. Here the states of every depth are
replaced, because that is what the metrics on nodes replace.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ..batch import Batch, Edit, Rows
from ..flow.flow_model import FlowModel
from ..shapes import Hidden, Mask


@dataclass(frozen=True)
class RandomReplacement:
    """Which states are replaced by zeros: those of a share of the texts, each state with a probability drawn for its text.

    Attributes:
        share: Probability that states of a text are replaced at all.
        rate: Largest probability that one of its states is replaced; drawn uniformly from [0, rate] for each text.

    Raises:
        ValueError: A number outside [0, 1].
    """

    share: float = 0.5
    rate: float = 0.6

    def __post_init__(self) -> None:
        for name in ("share", "rate"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} of the replaced states must lie in 0 to 1, got {getattr(self, name)}.")

    def kept(self, real: Mask, depths: int, generator: torch.Generator) -> Float[Tensor, "rows depths tokens"]:
        """1 where a state stays and 0 where it is replaced, independently at every depth and position.

        Args:
            real: True where a token is real.
            depths: Number of depths, L for hidden[0..L-1]: what is replaced at hidden[L] is not read, or is all that is read.
            generator: On the CPU, so that devices draw alike.
        """
        rows, tokens = real.shape
        chosen = torch.rand(rows, generator=generator) < self.share
        rates = torch.rand(rows, generator=generator) * self.rate * chosen
        kept = torch.rand(rows, depths, tokens, generator=generator) >= rates[:, None, None]
        return kept.to(real.device, torch.float32)


def zero_unkept(kept: Float[Tensor, "rows depths tokens"]) -> Edit:
    """An edit of `hidden` that makes zeros of what is not kept; deeper states than `kept` has stay."""

    def edit(layer: int, hidden: Tensor) -> Tensor:
        return hidden * kept[:, layer, :, None].to(hidden.dtype) if layer < kept.shape[1] else hidden

    return edit


def last_states(model: FlowModel, batch: Batch, kept: Float[Tensor, "rows depths tokens"]) -> Hidden:
    """hidden[L] of a model of which only the states `kept` are left; gradients flow to the weights.

    Args:
        model: The model.
        batch: The texts.
        kept: 1 where a state stays (`RandomReplacement.kept`).
    """
    (trace,) = model.run(Rows(batch, model.embed(model.words(batch), batch), 0, {"hidden": zero_unkept(kept)}))
    return trace.site("hidden", model.n_layers)
