"""Gates over a model's states: where they act, how they are computed from the states, and what stands in for a masked state."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ...models.batch import Batch
from ...models.interventions.states import blend, outputs_from
from ...models.layered import Layered
from ...models.shapes import Outputs
from .hard_concrete import HardConcrete
from .probes import Probes

Parameters = Mapping[str, Tensor]
PerToken = Float[Tensor, "rows tokens"]


@dataclass(frozen=True)
class Votes:
    """The independent hard concrete votes of one depth; a state's gate is their product.

    Attributes:
        each: One of the votes; on the states alone, or one a depth up to this one on the words.
    """

    each: tuple[HardConcrete, ...]

    def sample(self, uniform: Float[Tensor, "rows votes tokens"]) -> PerToken:
        """Gates drawn from uniform numbers."""
        return torch.stack([vote.sample(uniform[:, k]) for k, vote in enumerate(self.each)]).prod(0)

    def log_kept(self) -> PerToken:
        """log P(z != 0)."""
        return torch.stack([vote.log_kept() for vote in self.each]).sum(0)

    def mean(self) -> PerToken:
        """E[z]."""
        return torch.stack([vote.mean() for vote in self.each]).prod(0)


@dataclass(frozen=True)
class Gates:
    """Gates of every depth (0: words, d: hidden[d - 1]) as De Cao et al. 2020, section 2.2, have them.

    On the words: a probe a depth sees (word vector, state) and votes; the gate of depth d is the product of votes 0 to d, and
    masks the word vector. On the states: a probe a depth sees the state and masks it; what is above runs again.

    Attributes:
        probes: The form of the probes.
        at_words: Whether the words are masked at every depth.
    """

    probes: Probes
    at_words: bool

    def inputs(self, model: Layered, words: int) -> list[int]:
        """What each probe sees, as sizes."""
        sizes = [words] + [model.width] * (model.n_layers + 1)
        return [words + size for size in sizes] if self.at_words else sizes

    def site(self, depth: int) -> int:
        """The depth whose states the gates of a depth mask."""
        return 0 if self.at_words else depth

    def votes(self, parameters: Parameters, states: Sequence[Tensor], depth: int) -> Votes:
        """The votes behind the gates of a depth.

        Args:
            parameters: Of the probes.
            states: Clean states, at least up to this depth.
            depth: 0 to L + 1.
        """
        kind = parameters["probe.0.open"].dtype
        seen = [state.to(kind) for state in states[: depth + 1]]
        if self.at_words:
            seen = [torch.cat([seen[0], state], -1) for state in seen]
        counted = range(depth + 1) if self.at_words else (depth,)
        return Votes(tuple(HardConcrete(self.probes.log_alpha(parameters, k, seen[k])) for k in counted))

    def every(self, parameters: Parameters, states: Sequence[Tensor]) -> list[Votes]:
        """The votes behind the gates of all depths."""
        depths = range(len(states))
        if not self.at_words:
            return [self.votes(parameters, states, depth) for depth in depths]
        each = self.votes(parameters, states, len(states) - 1).each
        return [Votes(each[: depth + 1]) for depth in depths]

    def fill(self, parameters: Parameters, depth: int) -> Tensor:
        """The vector that stands in for a masked state of a depth."""
        return parameters[f"fill.{self.site(depth)}"]

    def outputs(
        self, model: Layered, batch: Batch, states: Sequence[Tensor], depth: int, keep: PerToken, parameters: Parameters
    ) -> Outputs:
        """Logits with the states of a depth blended with what stands in."""
        site = self.site(depth)
        clean = states[site]
        masked = blend(clean, keep.to(clean.dtype), self.fill(parameters, depth).to(clean.dtype))
        return outputs_from(model, batch, site, masked)


def may_be_masked(model: Layered, batch: Batch) -> Float[Tensor, "batch tokens"]:
    """1 where a position may be masked, 0 at padding and where the model says that it must stay."""
    return (batch.attention_mask & model.maskable(batch)).to(torch.promote_types(model.dtype, torch.float32))
