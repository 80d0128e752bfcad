"""Accuracy of an embedded model on the agreement tasks, by task and condition."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from flowgauge.tasks.agreement import AgreementTask
from flowgauge.tasks.instance import Instance
from flowgauge.tasks.lexicon import templates

Answers = Callable[[Sequence[Instance]], list[bool]]
"""Whether a model answers each of some instances right."""


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


def measure(answers: Answers, sentences: int = 250, seed: int = 0) -> list[Accuracy]:
    """Accuracy on every task and condition.

    Args:
        answers: Whether the model answers each instance right.
        sentences: Sentences of each condition.
        seed: Of the sentences.
    """
    rows = []
    for name in templates():
        instances = AgreementTask(name, sentences).instances("test", None, seed)
        right = answers(instances)
        for condition in templates()[name].conditions:
            inside = [ok for ok, instance in zip(right, instances, strict=True) if instance.condition == condition]
            rows.append(Accuracy(name, condition, sum(inside), len(inside)))
    return rows


def measure_folder(
    folder: Path, auto_class: Any, correct: Callable[[Any, PreTrainedTokenizerFast, Sequence[Instance]], list[bool]]
) -> list[Accuracy]:
    """Accuracy of a stored model on every task and condition (`measure`), computed in float32.

    Args:
        folder: The model's folder.
        auto_class: The class of transformers that loads it, such as `AutoModelForMaskedLM`.
        correct: Whether the model, with its tokenizer, answers each of some instances right.
    """
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = auto_class.from_pretrained(folder, dtype=torch.float32).eval()
    return measure(lambda instances: correct(model, tokenizer, instances))


def answer_is_larger(logits: Tensor, tokenizer: PreTrainedTokenizerFast, instances: Sequence[Instance]) -> list[bool]:
    """Whether the logit of each instance's answer exceeds that of the competing word.

    Args:
        logits: (instances, vocabulary), at the gap.
        tokenizer: Has both words as one token each.
        instances: In the order of the rows.
    """
    ids = torch.tensor([tokenizer.convert_tokens_to_ids([str(i.answer[0]), str(i.against[0])]) for i in instances])
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
