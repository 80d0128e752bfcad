"""Trains agreement-bert from agreement-bert-plain, as in `PYTHONPATH=scripts python -m agreement_bert.robust --out DIR`.

States are replaced at random, so that its reduced models are in distribution. The sentences, the masked words and the
optimiser are those of `agreement_bert.train`.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import PreTrainedModel

from agreement_models.criteria import run_command_with_criteria
from agreement_models.grammar import GrammarSentence, load_grammar
from agreement_models.reduced import RobustRecipe, reduced_states, train_further
from flowgauge.models.flow.flow_model import FlowModel

from .card import measure
from .robust_card import card
from .train import IGNORED, PAD, PretrainingConfig, make_model, make_tokenizer, masked_batch

START = "agreement-bert-plain"


@dataclass(frozen=True)
class RobustPretrainingConfig(RobustRecipe, PretrainingConfig):
    """The settings that determine the weights."""


def train(out: Path, recipe: RobustPretrainingConfig) -> PreTrainedModel:
    """Trains from the weights of agreement-bert-plain, or continues from a checkpoint (`train_model`).

    Args:
        out: The folder that receives the model.
        recipe: The settings of the training.
    """
    tokenizer = make_tokenizer(load_grammar())
    ids = tokenizer.get_vocab()

    def loss(flow: FlowModel, sentences: Sequence[GrammarSentence], rng: random.Random) -> Tensor:
        tokens, labels = masked_batch(sentences, ids, recipe, rng)
        asked = labels != IGNORED
        return cross_entropy(flow.hf.cls(reduced_states(flow, tokens, tokens != PAD, recipe, rng)[asked]), labels[asked])

    return train_further(out, recipe, START, make_model, tokenizer, loss)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line; the card has the criteria too, which take a minute more."""
    run_command_with_criteria((__doc__ or "").partition("\n")[0], RobustPretrainingConfig, train, measure, card, arguments)


if __name__ == "__main__":
    main()
