"""Measures agreement-bert on the agreement tasks and writes its card."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from transformers import AutoModelForMaskedLM, AutoTokenizer

from flowgauge.tasks.agreement import AgreementTask
from flowgauge.tasks.instance import Instance
from flowgauge.tasks.lexicon import templates


@dataclass(frozen=True)
class Accuracy:
    """The instances of one condition of a task on which the right word has the larger logit of the two.

    Attributes:
        task: The task's name.
        condition: The condition.
        right: How many instances are answered right.
        count: How many instances there are.
    """

    task: str
    condition: str
    right: int
    count: int


def measure(folder: Path, sentences: int = 250, seed: int = 0) -> list[Accuracy]:
    """Accuracy on every task and condition, computed in float32 from the stored weights.

    Args:
        folder: The model's folder.
        sentences: Sentences of each condition.
        seed: Of the sentences.
    """
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForMaskedLM.from_pretrained(folder, dtype=torch.float32).eval()
    rows = []
    for name in templates():
        instances = AgreementTask(name, sentences).instances("test", None, seed)
        right = correct(model, tokenizer, instances)
        for condition in templates()[name].conditions:
            inside = [ok for ok, instance in zip(right, instances, strict=True) if instance.condition == condition]
            rows.append(Accuracy(name, condition, sum(inside), len(inside)))
    return rows


@torch.no_grad()
def correct(model: torch.nn.Module, tokenizer: object, instances: Sequence[Instance]) -> list[bool]:
    """Whether the logit of each instance's answer in the gap exceeds that of the competing word."""
    encoded = tokenizer([i.segments[0] for i in instances], return_tensors="pt", padding=True)  # type: ignore[operator]
    logits = model(**encoded).logits[encoded["input_ids"] == tokenizer.mask_token_id]  # type: ignore[attr-defined]
    ids = torch.tensor([tokenizer.convert_tokens_to_ids([str(i.answer[0]), str(i.against[0])]) for i in instances])  # type: ignore[attr-defined]
    scores = logits.gather(1, ids)
    return [bool(ok) for ok in scores[:, 0] > scores[:, 1]]


def wilson(right: int, count: int, z: float = 1.96) -> tuple[float, float]:
    """Wilson's interval of a proportion.

    Args:
        right: How many of the trials succeeded.
        count: How many trials there were.
        z: Quantile of the normal distribution; 1.96 for a 95 % interval.

    >>> [round(x, 4) for x in wilson(1000, 1000)]
    [0.9962, 1.0]
    """
    p, n = right / count, count
    middle, half = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return max(0.0, (middle - half) / (1 + z * z / n)), min(1.0, (middle + half) / (1 + z * z / n))


def card(recipe: Mapping[str, object], accuracy: Sequence[Accuracy]) -> str:
    """The model card in Markdown: architecture, training data and what was held out, recipe, accuracy.

    Args:
        recipe: The settings of the training.
        accuracy: The measured rows of the table.
    """
    settings = ", ".join(f"{key} {value}" for key, value in recipe.items())
    return CARD.format(settings=settings, steps=recipe["steps"], seed=recipe["seed"], table=_table(accuracy))


def _table(accuracy: Sequence[Accuracy]) -> str:
    lines = ["| task | sentences | accuracy | 95 % interval | by condition |", "| --- | --- | --- | --- | --- |"]
    for task in dict.fromkeys(row.task for row in accuracy):
        rows = [row for row in accuracy if row.task == task]
        right, count = sum(row.right for row in rows), sum(row.count for row in rows)
        low, high = wilson(right, count)
        each = ", ".join(f"{row.condition} {row.right / row.count:.3f}" for row in rows)
        lines.append(f"| `{task}` | {count} | {right / count:.3f} | {low:.3f} to {high:.3f} | {each} |")
    return "\n".join(lines)


CARD = """# agreement-bert

A small masked language model for the agreement tasks, trained so that flowgauge runs without a network. It knows the grammar
of a few English sentence patterns and nothing else: do not use it as a language model.

- **Architecture**: `BertForMaskedLM`, 6 layers, 8 heads, hidden size 128, feed-forward size 512, 32 positions, no dropout.
- **Tokens**: one a word or punctuation mark, lower-cased; every word of the six agreement tasks is in the vocabulary.
- **Weights**: stored in float16 (safetensors), meant to be loaded as float32.
- **Licence**: that of flowgauge; the training sentences are generated, no outside text was used.

## Training data

Sentences drawn from `scripts/agreement_bert/grammar.toml`: simple, prepositional, subject- and object-relative, complement,
reflexive and gendered ones, more kinds of each than the tasks have, with the tasks' words and about as many others. Seven groups
of patterns, equally often; numbers, genders and words uniform. A singular noun without a gender takes *himself* or *herself*.

**Held out.** No training sentence, whatever its structure, holds two nouns that can stand together in a sentence of a task
(a task's subject with one of its intervening nouns, in either order and number). Every sentence of every task holds such
a pair, so none was seen, and neither was any combination of nouns that the tasks ask about; single nouns were.

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
