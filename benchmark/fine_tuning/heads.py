"""What a base model is fine-tuned for: to tell classes apart, or to find the span that answers a question."""

from __future__ import annotations

import logging
import re
import string
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
from jaxtyping import Bool, Float

from ...core.errors import UsageError
from ...models.inputs.tokenise import token_span
from ...models.load import Base
from ...tasks.file_tasks import FileTask
from ...tasks.instance import Instance
from ...tasks.registry import tasks_for_head

log = logging.getLogger(__name__)
LONGEST_ANSWER = 30
"""Tokens of the longest span that is predicted, as in the released code of Devlin et al. 2019."""

OWN_SENTENCES = (
    "A file has one split and training needs two: for negative and positive, save DIR/sst2/train.tsv and DIR/sst2/dev.tsv "
    "and name --task sst2 --data-dir DIR; for others, write a task with `classes` and the splits train and validation in a "
    "Python file."
)
"""What to do with labelled sentences in a file."""


class HeadScore(NamedTuple):
    """How good a model is: right answers, and of spans the mean overlap with the right one."""

    correct: int
    f1: float | None = None


class FineTuningHead(Protocol):
    """A head, what it learns from, and how good it is.

    Attributes:
        classes: Names of the classes, None for a span head.
        longest: Tokens a text has at most, unless the user says otherwise.
    """

    @property
    def classes(self) -> tuple[str, ...] | None: ...
    @property
    def longest(self) -> int: ...
    def rows(self, base: Base, instances: Sequence[Instance], most: int, split: str) -> list[dict[str, Any]]:
        """What the Trainer reads, a mapping a text."""
        ...

    def measure(self, base: Base, instances: Sequence[Instance], most: int, found: Any) -> HeadScore:
        """From the Trainer's predictions for the rows of the validation split."""
        ...


def aim_of(task: Any) -> FineTuningHead:
    """What to train for a task.

    Raises:
        UsageError: It has neither classes nor spans.
    """
    classes = tuple(getattr(task, "classes", ()))
    if task.head == "span":
        return SpanHead()
    if task.head != "label" or not classes:
        known = ", ".join(tasks_for_head("label", bool) + tasks_for_head("span", lambda _: True))
        own = f" {OWN_SENTENCES}" if isinstance(task, FileTask) else ""
        raise UsageError(f"task {task.name!r} has no classes or spans to train for; tasks that have: {known}.{own}")
    return ClassificationHead(classes)


@dataclass(frozen=True)
class ClassificationHead:
    """A sequence-classification head."""

    classes: tuple[str, ...]
    longest: int = 128

    def rows(self, base: Base, instances: Sequence[Instance], most: int, split: str) -> list[dict[str, Any]]:
        """Tokens, and the number of the class."""
        encoded = _encoded(base, instances, most, split)
        number = {name: index for index, name in enumerate(self.classes)}
        labels = [number[str(instance.answer[0])] for instance in instances]
        return [{**_row(encoded, i), "labels": label} for i, label in enumerate(labels)]

    def measure(self, base: Base, instances: Sequence[Instance], most: int, found: Any) -> HeadScore:
        """Whether the largest logit is the class's."""
        return HeadScore(int((np.argmax(found.predictions, 1) == found.label_ids).sum()))


@dataclass(frozen=True)
class SpanHead:
    """A span head. Texts are cut to `most` tokens; those of the training split that lose their answer are left out."""

    classes: None = None
    longest: int = 384

    def rows(self, base: Base, instances: Sequence[Instance], most: int, split: str) -> list[dict[str, Any]]:
        """Tokens, and the positions of the answer's first and last token (0, where it was cut off)."""
        encoded = _encoded(base, instances, most, split)
        spans = [_kept(encoded, number, instance) for number, instance in enumerate(instances)]
        lost = sum(span is None for span in spans)
        if lost:
            how = "left out" if split == "train" else "wrong from the start"
            log.warning("%d of %d answers of the %s split were cut off; these questions are %s.", lost, len(spans), split, how)
        made = [
            {**_row(encoded, number), "start_positions": (span or (0, 0))[0], "end_positions": (span or (0, 0))[1]}
            for number, span in enumerate(spans)
            if span or split != "train"
        ]
        if not made:
            raise UsageError(f"no answer of the {split} split is within {most} tokens: choose a larger max-length.")
        return made

    def measure(self, base: Base, instances: Sequence[Instance], most: int, found: Any) -> HeadScore:
        """Exact match and mean F1 with the best of the right answers (Rajpurkar et al. 2016, section 6.1)."""
        encoded = _encoded(base, instances, most)
        matched, overlap = 0, 0.0
        for number, (instance, starts, ends) in enumerate(zip(instances, *found.predictions[:2], strict=True)):
            context, offsets = instance.segments[1], encoded["offset_mapping"][number]
            first, last = best_span(starts[: len(offsets)], ends[: len(offsets)], _inside(encoded, number))
            said = context[offsets[first][0] : offsets[last][1]]
            right = [context[slice(*span)] for span in (instance.answer, *instance.also)]
            matched += any(normalised(said) == normalised(answer) for answer in right)
            overlap += max(f1(said, answer) for answer in right)
        return HeadScore(matched, overlap / len(instances))


def best_span(
    starts: Float[np.ndarray, " tokens"], ends: Float[np.ndarray, " tokens"], inside: Bool[np.ndarray, " tokens"]
) -> tuple[int, int]:
    """The span with the largest sum of logits that lies inside and is at most `LONGEST_ANSWER` tokens long.

    >>> best_span(np.array([9.0, 0, 2]), np.array([9.0, 3, 0]), np.array([False, True, True]))
    (1, 1)
    """
    total = np.where(inside[:, None] & inside, starts[:, None] + ends, -np.inf)
    total = np.where(np.tri(len(total), k=LONGEST_ANSWER - 1, dtype=bool) & np.tri(len(total), dtype=bool).T, total, -np.inf)
    first, last = np.unravel_index(total.argmax(), total.shape)
    return int(first), int(last)


def normalised(text: str) -> str:
    """Lower case without punctuation, articles and double blanks (Rajpurkar et al. 2016, section 6.1).

    >>> normalised("The  Broncos' practice!")
    'broncos practice'
    """
    bare = "".join(sign for sign in text.lower() if sign not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", bare).split())


def f1(said: str, right: str) -> float:
    """Harmonic mean of precision and recall of the words of an answer; 1 where both have none.

    >>> f1("the Santa Clara hotel", "Santa Clara Marriott")
    0.6666666666666666
    """
    one, two = normalised(said).split(), normalised(right).split()
    if not one or not two:
        return float(one == two)
    shared = (Counter(one) & Counter(two)).total()
    return 2 * shared / (len(one) + len(two))


def _encoded(base: Base, instances: Sequence[Instance], most: int, split: str = "") -> Any:
    """Tokens of at most `most` a text, the longer of two cut first; with a split's name, says how many were cut."""
    texts = [list(part) for part in zip(*(instance.segments for instance in instances), strict=True)]
    cut = sum(len(ids) > most for ids in base.tokenizer(*texts)["input_ids"]) if split else 0
    if cut:
        log.warning("%d of %d texts of the %s split are longer than %d tokens and were cut.", cut, len(instances), split, most)
    return base.tokenizer(*texts, truncation="longest_first", max_length=most, return_offsets_mapping=True)


def _row(encoded: Any, number: int) -> dict[str, Any]:
    return {name: values[number] for name, values in encoded.items() if name != "offset_mapping"}


def _inside(encoded: Any, number: int) -> Bool[np.ndarray, " tokens"]:
    """Which tokens are of the passage."""
    return np.array([segment == 1 for segment in encoded.sequence_ids(number)])


def _kept(encoded: Any, number: int, instance: Instance) -> tuple[int, int] | None:
    """First and last token of the answer, None where some of it was cut off."""
    offsets, inside = encoded["offset_mapping"][number], _inside(encoded, number)
    start, end = (int(bound) for bound in instance.answer)
    left = max((offset[1] for offset, here in zip(offsets, inside, strict=True) if here), default=0)
    return token_span(offsets, inside.tolist(), start, end) if left >= end else None
