"""Runs an embedded model on training sentences of which states are replaced at random, through flowgauge's loop over layers."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from flowgauge.models.batch import Batch
from flowgauge.models.flow.flow_model import FlowModel
from flowgauge.models.interventions.random_replacement import RandomReplacement, last_states
from flowgauge.models.load import load_model

from .grammar import GrammarSentence
from .recipe import Recipe
from .training import train_model

ReducedLoss = Callable[[FlowModel, Sequence[GrammarSentence], random.Random], Tensor]
"""The loss of a model on some sentences of which states are replaced; the generator draws whatever the loss draws."""


@dataclass(frozen=True)
class RobustRecipe(Recipe):
    """The settings of a training that continues an embedded model with states replaced at random.

    Attributes:
        rate: Largest learning rate; half of that of the first training, whose weights are the start.
        until: Updates after which training ends, while the learning rate follows the schedule of `steps`.
        replaced_share: Share of the sentences of which states are replaced (`RandomReplacement.share`).
        replaced_rate: Largest share of a sentence's states that is replaced (`RandomReplacement.rate`).
    """

    seed: int = 1
    steps: int = 2000
    rate: float = 5e-4
    until: int = 1000
    replaced_share: float = 0.5
    replaced_rate: float = 0.6

    @property
    def updates(self) -> int:
        """Number of updates."""
        return min(self.until, self.steps)

    @property
    def replacement(self) -> RandomReplacement:
        """Which states are replaced."""
        return RandomReplacement(self.replaced_share, self.replaced_rate)


def train_further(
    out: Path,
    recipe: RobustRecipe,
    start: str,
    make_model: Callable[[int, int], PreTrainedModel],
    tokenizer: PreTrainedTokenizerFast,
    reduced_loss: ReducedLoss,
) -> PreTrainedModel:
    """Trains an embedded model further, or continues from a checkpoint (`train_model`).

    Args:
        out: The folder that receives the model.
        recipe: The settings of the training.
        start: The embedded model whose weights are the start.
        make_model: Builds a model of its architecture from the size of the vocabulary and a seed.
        tokenizer: Saved with the model.
        reduced_loss: What is minimised.
    """
    # The configuration is the one that was first written, free of where the weights are read from.
    model = make_model(len(tokenizer.get_vocab()), recipe.seed)
    model.load_state_dict(load_model(start).hf.state_dict())
    flow = trainable(FlowModel(model, tokenizer, start))
    return train_model(out, recipe, model, tokenizer, lambda _, sentences, rng: reduced_loss(flow, sentences, rng))


def trainable(model: FlowModel) -> FlowModel:
    """The same model with weights that receive gradients."""
    model.hf.requires_grad_(True)
    return model


def reduced_states(model: FlowModel, tokens: Tensor, real: Tensor, recipe: RobustRecipe, rng: random.Random) -> Tensor:
    """hidden[L] (sentences, length, width) with states at hidden[0..L-1] replaced by zeros as the recipe says.

    Args:
        model: The model that is trained.
        tokens: (sentences, length), padded on the right.
        real: True where a token is no padding.
        recipe: How much is replaced.
        rng: Seeds the draw.
    """
    generator = torch.Generator().manual_seed(rng.getrandbits(62))
    kept = recipe.replacement.kept(real, model.n_layers, generator)
    return last_states(model, _batch(tokens, real), kept)


def _batch(tokens: Tensor, real: Tensor) -> Batch:
    """The sentences as a batch that asks nothing."""
    rows = len(tokens)
    nothing = tokens.new_zeros(rows, 1)
    names, words = tuple(str(row) for row in range(rows)), tokens.new_full((*tokens.shape, 2), -1)
    return Batch(tokens, real, torch.zeros_like(tokens), words, nothing, nothing, None, names, (0,) * rows)
