"""Trains and measures agreement-bert-plain, a masked LM: `PYTHONPATH=scripts python -m agreement_bert.train --out DIR`.

A six-layer, eight-head BERT of width 128 with one token a word. It is trained on the sentences of the grammar of
`agreement_models`, none of which is a sentence of the agreement tasks, and measured on all six tasks.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor
from transformers import BertConfig, BertForMaskedLM, PreTrainedModel, PreTrainedTokenizerFast

from agreement_models.command import run_command
from agreement_models.grammar import Grammar, GrammarSentence, load_grammar
from agreement_models.recipe import Recipe
from agreement_models.tokenizer import LONGEST, word_tokenizer
from agreement_models.training import seeded, train_model

from .card import card, measure

SPECIAL = {"pad": "[PAD]", "unk": "[UNK]", "cls": "[CLS]", "sep": "[SEP]", "mask": "[MASK]"}
PAD, UNK, CLS, SEP, MASK = range(5)
IGNORED = -100


@dataclass(frozen=True)
class PretrainingConfig(Recipe):
    """The settings that determine the weights.

    Attributes:
        cued: Share of sentences in which one agreeing word alone is masked; the words of the others are masked at random.
        random_share: Share of words that is masked at random.
    """

    cued: float = 0.6
    random_share: float = 0.15


def make_tokenizer(grammar: Grammar) -> PreTrainedTokenizerFast:
    """A fast tokenizer with one token for each lower-cased word or punctuation mark, for one text or two."""
    inputs = ("input_ids", "token_type_ids", "attention_mask")
    return word_tokenizer(grammar, SPECIAL, "[CLS] $A [SEP]", "[CLS] $A [SEP] $B:1 [SEP]:1", inputs)


def make_model(size: int, seed: int) -> PreTrainedModel:
    """The untrained model.

    Args:
        size: Words of the vocabulary.
        seed: Of the initial weights.
    """
    config = BertConfig(
        vocab_size=size, hidden_size=128, num_hidden_layers=6, num_attention_heads=8, intermediate_size=512,
        max_position_embeddings=LONGEST, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, pad_token_id=PAD,
    )  # fmt: skip
    return seeded(BertForMaskedLM, config, seed)


def masked_batch(
    sentences: Sequence[GrammarSentence], ids: dict[str, int], recipe: PretrainingConfig, rng: random.Random
) -> tuple[Tensor, Tensor]:
    """Token ids with some words masked, and the ids of the masked words (`IGNORED` elsewhere), both padded on the right.

    Args:
        sentences: The sentences of the batch.
        ids: The id of each word.
        recipe: Which share of words is masked.
        rng: Chooses the masked words.
    """
    length = max(len(s.words) for s in sentences) + 2
    tokens, labels = torch.full((len(sentences), length), PAD), torch.full((len(sentences), length), IGNORED)
    for row, sentence in enumerate(sentences):
        word_ids = [ids[word] for word in sentence.words]
        tokens[row, : len(word_ids) + 2] = torch.tensor([CLS, *word_ids, SEP])
        for index in _masked(sentence, recipe, rng):
            labels[row, index + 1] = word_ids[index]
            kept = index not in sentence.agreeing and rng.random() < 0.2
            shown = rng.choice((word_ids[index], rng.randrange(len(SPECIAL), len(ids)))) if kept else MASK
            tokens[row, index + 1] = shown
    return tokens, labels


def _masked(sentence: GrammarSentence, recipe: PretrainingConfig, rng: random.Random) -> list[int]:
    """The indices of the words to be masked; at least one."""
    if sentence.agreeing and rng.random() < recipe.cued:
        return [rng.choice(sentence.agreeing)]
    indices = [i for i in range(len(sentence.words)) if rng.random() < recipe.random_share]
    return indices or [rng.randrange(len(sentence.words))]


def train(out: Path, recipe: PretrainingConfig) -> PreTrainedModel:
    """Trains from scratch, or continues from a checkpoint (`train_model`).

    Args:
        out: The folder that receives the model.
        recipe: The settings of the training.
    """
    tokenizer = make_tokenizer(load_grammar())
    ids = tokenizer.get_vocab()

    def loss(model: PreTrainedModel, sentences: Sequence[GrammarSentence], rng: random.Random) -> Tensor:
        tokens, labels = masked_batch(sentences, ids, recipe, rng)
        return model(input_ids=tokens, attention_mask=(tokens != PAD).long(), labels=labels).loss

    return train_model(out, recipe, make_model(len(ids), recipe.seed), tokenizer, loss)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line (`run_command`)."""
    run_command((__doc__ or "").partition("\n")[0], PretrainingConfig, train, measure, card, arguments)


if __name__ == "__main__":
    main()
