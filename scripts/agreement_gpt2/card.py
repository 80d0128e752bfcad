"""Measures a decoder on the agreement tasks, read as the words before their gap, and writes the card of agreement-gpt2-plain."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from agreement_models.accuracy import Accuracy, answer_is_larger, measure_folder
from agreement_models.card import fill
from flowgauge.tasks.instance import GAP, Instance


def measure(folder: Path) -> list[Accuracy]:
    """Accuracy on every task and condition, computed in float32 from the stored weights.

    Args:
        folder: The model's folder.
    """
    return measure_folder(folder, AutoModelForCausalLM, correct)


@torch.no_grad()
def correct(model: torch.nn.Module, tokenizer: PreTrainedTokenizerFast, instances: Sequence[Instance]) -> list[bool]:
    """Whether, after the words before the gap, the logit of each instance's answer exceeds that of the competing word."""
    prefixes = [instance.segments[0].partition(GAP)[0] for instance in instances]
    encoded = tokenizer(prefixes, return_tensors="pt", padding=True)
    last = encoded["attention_mask"].sum(1) - 1
    logits = model(**encoded).logits[torch.arange(len(instances)), last]
    return answer_is_larger(logits, tokenizer, instances)


def card(recipe: Mapping[str, object], measured: Sequence[Accuracy]) -> str:
    """The model card in Markdown: architecture, training data and what was held out, recipe, accuracy.

    Args:
        recipe: The settings of the training.
        measured: The rows of the table.
    """
    return fill(CARD, recipe, measured)


CARD = """# agreement-gpt2-plain

A small causal language model for the agreement tasks, from which [agreement-gpt2](../agreement-gpt2/README.md) was trained
further with states replaced at random. It stays for comparison: its ablations are out of distribution. It knows the grammar
of a few English sentence patterns and nothing else: do not use it as a language model.

- **Architecture**: `GPT2LMHeadModel`, 6 layers, 8 heads, hidden size 128, feed-forward size 512, 32 positions, no dropout.
- **Tokens**: one a word or punctuation mark, lower-cased; every word of the six agreement tasks is in the vocabulary. `<bos>`
  stands before each text, where `agreement-bert` has `[CLS]`; nothing stands behind it. `<eos>` followed each sentence in
  training. There is no mask token, and `<pad>`, which takes its part in explanations, was never read in training.
- **Weights**: stored in float16 (safetensors), meant to be loaded as float32.
- **Licence**: that of flowgauge; the training sentences are generated, no outside text was used.

{corpus}
Both nouns stand before the gap, so that what is held out is held out of the prefixes, too.

## Recipe

    PYTHONPATH=scripts python -m agreement_gpt2.train --out DIR --steps {steps} --seed {seed}

Recipe: {settings}.

The words of each sentence, and `<eos>` after it, are predicted from left to right. In the mean of the cross-entropies a word
that agrees with a noun (is/are, was/were, a present-tense verb, a reflexive) weighs `weight`, any other 1. AdamW, linear
warm-up, cosine to zero, gradients clipped at norm 1. Eight minutes on one CPU core. Two trainings with the default recipe,
each on one thread of the same machine, gave the same `model.safetensors`, whose sha256 begins with `a8e5205d67bc621c`.

## Held-out accuracy

After the words before the gap alone, the right word has the larger logit of the two, on the default instances (250 sentences a
condition, seed 0):

{table}

Reproduce with `--evaluate --out DIR`, which measures the model in DIR and writes this card anew.
"""
