"""Trains and measures agreement-gpt2-plain, a decoder: `PYTHONPATH=scripts python -m agreement_gpt2.train --out DIR`.

A six-layer, eight-head GPT-2 of width 128 with one token a word. It reads the sentences of the grammar of `agreement_models`
from left to right, none of which is a sentence of the agreement tasks, and is measured on all six tasks, each read as the
words before its gap.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedModel, PreTrainedTokenizerFast

from agreement_models.command import run_command
from agreement_models.grammar import Grammar, GrammarSentence, load_grammar
from agreement_models.recipe import Recipe
from agreement_models.tokenizer import LONGEST, word_tokenizer
from agreement_models.training import seeded, train_model

from .card import card, measure

SPECIAL = {"pad": "<pad>", "unk": "<unk>", "bos": "<bos>", "eos": "<eos>"}
PAD, UNK, BOS, EOS = range(4)


@dataclass(frozen=True)
class NextWordConfig(Recipe):
    """The settings that determine the weights.

    Attributes:
        weight: Of a word that agrees with a noun in the mean of the losses of a batch; that of the other words is 1.
    """

    weight: float = 4.0


def make_tokenizer(grammar: Grammar) -> PreTrainedTokenizerFast:
    """A fast tokenizer with one token for each lower-cased word or punctuation mark; only `<bos>` is added, before each text."""
    return word_tokenizer(grammar, SPECIAL, "<bos> $A", "<bos> $A $B", ("input_ids", "attention_mask"))


def make_model(size: int, seed: int) -> PreTrainedModel:
    """The untrained model.

    Args:
        size: Words of the vocabulary.
        seed: Of the initial weights.
    """
    config = GPT2Config(
        vocab_size=size, n_positions=LONGEST, n_embd=128, n_layer=6, n_head=8, n_inner=512, embd_pdrop=0.0, attn_pdrop=0.0,
        resid_pdrop=0.0, bos_token_id=BOS, eos_token_id=EOS, pad_token_id=PAD,
    )  # fmt: skip
    return seeded(GPT2LMHeadModel, config, seed)


def weighted_batch(sentences: Sequence[GrammarSentence], ids: dict[str, int], weight: float) -> tuple[Tensor, Tensor]:
    """Token ids, padded on the right, and the weight of each token as what comes next (0 for `<bos>` and padding).

    Args:
        sentences: The sentences of the batch; each becomes `<bos>`, its words, `<eos>`.
        ids: The id of each word.
        weight: Of the words that agree with a noun; 1 is that of the others.
    """
    length = max(len(s.words) for s in sentences) + 2
    tokens, weights = torch.full((len(sentences), length), PAD), torch.zeros(len(sentences), length)
    for row, sentence in enumerate(sentences):
        words = len(sentence.words)
        tokens[row, : words + 2] = torch.tensor([BOS, *(ids[word] for word in sentence.words), EOS])
        weights[row, 1 : words + 2] = 1.0
        for index in sentence.agreeing:
            weights[row, index + 1] = weight
    return tokens, weights


def next_word_loss(model: PreTrainedModel, tokens: Tensor, weights: Tensor) -> Tensor:
    """The weighted mean of the cross-entropy of each token given those before it, in nats.

    Args:
        model: A causal language model.
        tokens: (sentences, length), padded on the right.
        weights: (sentences, length), of each token as what comes next.
    """
    return weighted_loss(model(input_ids=tokens, attention_mask=(tokens != PAD).long()).logits, tokens, weights)


def weighted_loss(logits: Tensor, tokens: Tensor, weights: Tensor) -> Tensor:
    """The weighted mean of the cross-entropy of each token given those before it, in nats.

    Args:
        logits: (sentences, length, vocabulary), at each token for the next.
        tokens: (sentences, length).
        weights: (sentences, length), of each token as what comes next.
    """
    losses = cross_entropy(logits[:, :-1].transpose(1, 2), tokens[:, 1:], reduction="none")
    return (losses * weights[:, 1:]).sum() / weights[:, 1:].sum()


def train(out: Path, recipe: NextWordConfig) -> PreTrainedModel:
    """Trains from scratch, or continues from a checkpoint (`train_model`).

    Args:
        out: The folder that receives the model.
        recipe: The settings of the training.
    """
    tokenizer = make_tokenizer(load_grammar())
    ids = tokenizer.get_vocab()

    def loss(model: PreTrainedModel, sentences: Sequence[GrammarSentence], rng: random.Random) -> Tensor:
        return next_word_loss(model, *weighted_batch(sentences, ids, recipe.weight))

    return train_model(out, recipe, make_model(len(ids), recipe.seed), tokenizer, loss)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line (`run_command`)."""
    run_command((__doc__ or "").partition("\n")[0], NextWordConfig, train, measure, card, arguments)


if __name__ == "__main__":
    main()
