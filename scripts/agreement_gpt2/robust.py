"""Trains agreement-gpt2 from agreement-gpt2-plain, as in `PYTHONPATH=scripts python -m agreement_gpt2.robust --out DIR`.

States are replaced at random, so that its reduced models are in distribution. The sentences, the loss and the optimiser are
those of `agreement_gpt2.train`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor
from transformers import PreTrainedModel

from agreement_models.criteria import run_command_with_criteria
from agreement_models.grammar import GrammarSentence, load_grammar
from agreement_models.reduced import RobustRecipe, reduced_states, train_further
from flowgauge.models.flow.flow_model import FlowModel

from .card import measure
from .robust_card import card
from .train import PAD, NextWordConfig, make_model, make_tokenizer, weighted_batch, weighted_loss

START = "agreement-gpt2-plain"


@dataclass(frozen=True)
class RobustNextWordConfig(RobustRecipe, NextWordConfig):
    """The settings that determine the weights."""


def train(out: Path, recipe: RobustNextWordConfig) -> PreTrainedModel:
    """Trains from the weights of agreement-gpt2-plain, or continues from a checkpoint (`train_model`).

    Args:
        out: The folder that receives the model.
        recipe: The settings of the training.
    """
    tokenizer = make_tokenizer(load_grammar())
    ids = tokenizer.get_vocab()

    def loss(flow: FlowModel, sentences: Sequence[GrammarSentence], rng: random.Random) -> Tensor:
        tokens, weights = weighted_batch(sentences, ids, recipe.weight)
        states = flow.hf.transformer.ln_f(reduced_states(flow, tokens, tokens != PAD, recipe, rng))
        return weighted_loss(flow.hf.lm_head(states), tokens, weights)

    return train_further(out, recipe, START, make_model, tokenizer, loss)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line; the card has the criteria too, which take a minute more."""
    run_command_with_criteria((__doc__ or "").partition("\n")[0], RobustNextWordConfig, train, measure, card, arguments)


if __name__ == "__main__":
    main()
