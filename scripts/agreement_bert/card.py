"""Measures an encoder on the agreement tasks and writes the card of agreement-bert-plain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from transformers import AutoModelForMaskedLM, PreTrainedTokenizerFast

from agreement_models.accuracy import Accuracy, answer_is_larger, measure_folder
from agreement_models.card import fill
from flowgauge.tasks.instance import Instance


def measure(folder: Path) -> list[Accuracy]:
    """Accuracy on every task and condition, computed in float32 from the stored weights.

    Args:
        folder: The model's folder.
    """
    return measure_folder(folder, AutoModelForMaskedLM, correct)


@torch.no_grad()
def correct(model: torch.nn.Module, tokenizer: PreTrainedTokenizerFast, instances: Sequence[Instance]) -> list[bool]:
    """Whether the logit of each instance's answer in the gap exceeds that of the competing word."""
    encoded = tokenizer([i.segments[0] for i in instances], return_tensors="pt", padding=True)
    logits = model(**encoded).logits[encoded["input_ids"] == tokenizer.mask_token_id]
    return answer_is_larger(logits, tokenizer, instances)


def card(recipe: Mapping[str, object], measured: Sequence[Accuracy]) -> str:
    """The model card in Markdown: architecture, training data and what was held out, recipe, accuracy.

    Args:
        recipe: The settings of the training.
        measured: The rows of the table.
    """
    return fill(CARD, recipe, measured)


CARD = """# agreement-bert-plain

A small masked language model for the agreement tasks, from which [agreement-bert](../agreement-bert/README.md) was trained
further with states replaced at random. It stays for comparison: its ablations are out of distribution. It knows the grammar
of a few English sentence patterns and nothing else: do not use it as a language model.

- **Architecture**: `BertForMaskedLM`, 6 layers, 8 heads, hidden size 128, feed-forward size 512, 32 positions, no dropout.
- **Tokens**: one a word or punctuation mark, lower-cased; every word of the six agreement tasks is in the vocabulary.
- **Weights**: stored in float16 (safetensors), meant to be loaded as float32.
- **Licence**: that of flowgauge; the training sentences are generated, no outside text was used.

{corpus}

## Recipe

    PYTHONPATH=scripts python -m agreement_bert.train --out DIR --steps {steps} --seed {seed}

Recipe: {settings}.

AdamW, linear warm-up, cosine to zero, gradients clipped at norm 1. In `cued` of the sentences one
word that agrees with a noun (is/are, was/were, a present-tense verb, a reflexive) is the only one masked; in the others
words are masked at random as in BERT (80 % hidden, 10 % replaced, 10 % kept; agreeing words always hidden). Seven minutes on
one CPU core. Single sentences only: the second segment is untrained.

## Held-out accuracy

The right word has the larger logit of the two, on the default instances (250 sentences a condition, seed 0):

{table}

Reproduce with `--evaluate --out DIR`, which measures the model in DIR and writes this card anew.
"""
