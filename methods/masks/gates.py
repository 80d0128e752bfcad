"""Gates on a model's states: which states they mask, how they are computed, and which vectors replace masked states."""

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
        each: The votes: a single one for gates on states, one for each depth up to this one for gates on words.
    """

    each: tuple[HardConcrete, ...]

    def sample(self, uniform: Float[Tensor, "rows votes tokens"]) -> PerToken:
        """Draws gates from uniform numbers."""
        return torch.stack([vote.sample(uniform[:, k]) for k, vote in enumerate(self.each)]).prod(0)

    def log_kept(self) -> PerToken:
        """log P(z != 0) of every state."""
        return torch.stack([vote.log_kept() for vote in self.each]).sum(0)

    def mean(self) -> PerToken:
        """Expected gate E[z] of every state."""
        return torch.stack([vote.mean() for vote in self.each]).prod(0)


@dataclass(frozen=True)
class Gates:
    """Gates of every depth (0: word vectors, d: hidden[d - 1]) as in De Cao et al. 2020, section 2.2.

    Gates on words: the probe of a depth reads word vector and state and gives a vote; the gate of depth d is the product of votes
    0 to d and masks the word vector. Gates on states: the probe of a depth reads the state and masks it; the layers above run
    again.

    Attributes:
        probes: The form of the probes.
        at_words: Whether the gates of every depth mask the words.
    """

    probes: Probes
    at_words: bool

    def inputs(self, model: Layered, words: int) -> list[int]:
        """Width of the input of each probe, for word vectors of width `words`."""
        sizes = [words] + [model.width] * (model.n_layers + 1)
        return [words + size for size in sizes] if self.at_words else sizes

    def site(self, depth: int) -> int:
        """Depth of the states that the gates of a depth mask."""
        return 0 if self.at_words else depth

    def votes(self, parameters: Parameters, states: Sequence[Tensor], depth: int) -> Votes:
        """Computes the votes of the gates of a depth.

        Args:
            parameters: Parameters of the probes.
            states: Clean states, at least up to this depth.
            depth: The depth, 0 to L + 1.
        """
        dtype = parameters["probe.0.open"].dtype
        inputs = [state.to(dtype) for state in states[: depth + 1]]
        if self.at_words:
            inputs = [torch.cat([inputs[0], state], -1) for state in inputs]
        voting = range(depth + 1) if self.at_words else (depth,)
        return Votes(tuple(HardConcrete(self.probes.log_alpha(parameters, k, inputs[k])) for k in voting))

    def every(self, parameters: Parameters, states: Sequence[Tensor]) -> list[Votes]:
        """Computes the votes of the gates of all depths."""
        depths = range(len(states))
        if not self.at_words:
            return [self.votes(parameters, states, depth) for depth in depths]
        each = self.votes(parameters, states, len(states) - 1).each
        return [Votes(each[: depth + 1]) for depth in depths]

    def fill(self, parameters: Parameters, depth: int) -> Tensor:
        """The vector that replaces a masked state of a depth."""
        return parameters[f"fill.{self.site(depth)}"]

    def outputs(
        self, model: Layered, batch: Batch, states: Sequence[Tensor], depth: int, keep: PerToken, parameters: Parameters
    ) -> Outputs:
        """Logits where the states of a depth are blended with the vector that replaces them.

        Args:
            model: The model.
            batch: The batch.
            states: Clean states by depth.
            depth: Depth of the gates.
            keep: Gates of every token; 1 keeps the state.
            parameters: Parameters that hold the replacing vectors.
        """
        site = self.site(depth)
        clean = states[site]
        masked = blend(clean, keep.to(clean.dtype), self.fill(parameters, depth).to(clean.dtype))
        return outputs_from(model, batch, site, masked)


def may_be_masked(model: Layered, batch: Batch) -> Float[Tensor, "batch tokens"]:
    """1 where a position may be masked, 0 at padding and where the model says that it must stay."""
    return (batch.attention_mask & model.maskable(batch)).to(torch.promote_types(model.dtype, torch.float32))
