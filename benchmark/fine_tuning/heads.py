"""The heads that a base model is fine-tuned with: for classes, or for the span that answers a question."""

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
from ...models.tokenizer import run_tokenizer
from ...tasks.file_tasks import FileTask
from ...tasks.instance import Instance
from ...tasks.registry import tasks_for_head

log = logging.getLogger(__name__)
LONGEST_ANSWER = 30
"""Most tokens of a predicted span, as in the released code of Devlin et al. 2019."""

OWN_SENTENCES = (
    "A file has one split and training needs two: for negative and positive, save DIR/sst2/train.tsv and DIR/sst2/dev.tsv "
    "and name --task sst2 --data-dir DIR; for others, save a DatasetDict with the splits train and validation and a ClassLabel, "
    "or write a task with `classes` and these splits in a Python file."
)
"""What a user with labelled sentences in a file can do."""


class HeadScore(NamedTuple):
    """How good a model is.

    Attributes:
        correct: Number of right answers; of spans, of exact matches.
        f1: Of spans, the mean F1 of predicted and right answers; None for classes.
    """

    correct: int
    f1: float | None = None


class FineTuningHead(Protocol):
    """A head: the rows that it is trained on, and how its predictions are scored.

    Attributes:
        classes: Names of the classes; None for a span head.
        longest: Most tokens of a text, unless the user says otherwise.
    """

    @property
    def classes(self) -> tuple[str, ...] | None: ...
    @property
    def longest(self) -> int: ...
    def rows(self, base: Base, instances: Sequence[Instance], most: int, split: str) -> list[dict[str, Any]]:
        """The rows that the Trainer reads, one mapping a text.

        Args:
            base: The model and its tokenizer.
            instances: The instances of a split.
            most: Most tokens of a text; longer ones are cut.
            split: Name of the split, for messages.
        """
        ...

    def measure(self, base: Base, instances: Sequence[Instance], most: int, predictions: Any) -> HeadScore:
        """Scores the Trainer's predictions for the rows of the validation split."""
        ...


def head_of(task: Any) -> FineTuningHead:
    """The head to train for a task.

    Raises:
        UsageError: The task has neither classes nor spans.
    """
    classes = tuple(getattr(task, "classes", ()))
    if task.head == "span":
        return SpanHead()
    if task.head != "label" or not classes:
        names = ", ".join(tasks_for_head("label", bool) + tasks_for_head("span", lambda _: True))
        advice = f" {OWN_SENTENCES}" if isinstance(task, FileTask) else ""
        raise UsageError(f"task {task.name!r} has no classes or spans to train for; tasks that have: {names}.{advice}")
    return ClassificationHead(classes)


@dataclass(frozen=True)
class ClassificationHead:
    """A sequence-classification head."""

    classes: tuple[str, ...]
    longest: int = 128

    def rows(self, base: Base, instances: Sequence[Instance], most: int, split: str) -> list[dict[str, Any]]:
        """The tokens and the index of the class of each text."""
        encoded = _encoded(base, instances, most, split)
        index = {name: position for position, name in enumerate(self.classes)}
        labels = [index[str(instance.answer[0])] for instance in instances]
        return [{**_row(encoded, i), "labels": label} for i, label in enumerate(labels)]

    def measure(self, base: Base, instances: Sequence[Instance], most: int, predictions: Any) -> HeadScore:
        """Counts the texts whose largest logit is that of their class."""
        return HeadScore(int((np.argmax(predictions.predictions, 1) == predictions.label_ids).sum()))


@dataclass(frozen=True)
class SpanHead:
    """A span head. Texts are cut to `most` tokens; those of the training split that lose their answer are left out."""

    classes: None = None
    longest: int = 384

    def rows(self, base: Base, instances: Sequence[Instance], most: int, split: str) -> list[dict[str, Any]]:
        """The tokens of each text, and the positions of the answer's first and last token (0 where it was cut off)."""
        encoded = _encoded(base, instances, most, split)
        spans = [_answer_tokens(encoded, index, instance) for index, instance in enumerate(instances)]
        lost = sum(span is None for span in spans)
        if lost:
            how = "left out" if split == "train" else "wrong from the start"
            log.warning("%d of %d answers of the %s split were cut off; these questions are %s.", lost, len(spans), split, how)
        rows = [
            {**_row(encoded, index), "start_positions": (span or (0, 0))[0], "end_positions": (span or (0, 0))[1]}
            for index, span in enumerate(spans)
            if span or split != "train"
        ]
        if not rows:
            raise UsageError(f"no answer of the {split} split is within {most} tokens: choose a larger max-length.")
        return rows

    def measure(self, base: Base, instances: Sequence[Instance], most: int, predictions: Any) -> HeadScore:
        """Exact matches and mean F1 with the best of the right answers (Rajpurkar et al. 2016, section 6.1)."""
        encoded = _encoded(base, instances, most)
        matched, overlap = 0, 0.0
        for index, (instance, starts, ends) in enumerate(zip(instances, *predictions.predictions[:2], strict=True)):
            context, offsets = instance.segments[1], encoded["offset_mapping"][index]
            first, last = best_span(starts[: len(offsets)], ends[: len(offsets)], _in_passage(encoded, index))
            predicted = context[offsets[first][0] : offsets[last][1]]
            right = [context[slice(*span)] for span in (instance.answer, *instance.also)]
            matched += any(normalised(predicted) == normalised(answer) for answer in right)
            overlap += max(f1(predicted, answer) for answer in right)
        return HeadScore(matched, overlap / len(instances))


def best_span(
    starts: Float[np.ndarray, " tokens"], ends: Float[np.ndarray, " tokens"], inside: Bool[np.ndarray, " tokens"]
) -> tuple[int, int]:
    """The most probable span of the passage that is at most `LONGEST_ANSWER` tokens long: the largest sum of its two logits.

    Args:
        starts: Logit of each token as the first of the answer.
        ends: Logit of each token as the last of the answer.
        inside: Whether each token is of the passage.

    Returns:
        Positions of the first and the last token.

    >>> best_span(np.array([9.0, 0, 2]), np.array([9.0, 3, 0]), np.array([False, True, True]))
    (1, 1)
    """
    total = np.where(inside[:, None] & inside, starts[:, None] + ends, -np.inf)
    # `np.tri(n, k=m)` holds where column <= row + m; transposed with m = 0 it holds where the end is not before the start.
    total = np.where(np.tri(len(total), k=LONGEST_ANSWER - 1, dtype=bool) & np.tri(len(total), dtype=bool).T, total, -np.inf)
    first, last = np.unravel_index(total.argmax(), total.shape)
    return int(first), int(last)


def normalised(text: str) -> str:
    """A text in lower case without punctuation, articles and double blanks (Rajpurkar et al. 2016, section 6.1).

    >>> normalised("The  Broncos' practice!")
    'broncos practice'
    """
    bare = "".join(letter for letter in text.lower() if letter not in string.punctuation)
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", bare).split())


def f1(predicted: str, right: str) -> float:
    """Harmonic mean of precision and recall of the words of a predicted answer; 1 where both answers have none.

    >>> f1("the Santa Clara hotel", "Santa Clara Marriott")
    0.6666666666666666
    """
    predicted_words, right_words = normalised(predicted).split(), normalised(right).split()
    if not predicted_words or not right_words:
        return float(predicted_words == right_words)
    shared = (Counter(predicted_words) & Counter(right_words)).total()
    return 2 * shared / (len(predicted_words) + len(right_words))


def _encoded(base: Base, instances: Sequence[Instance], most: int, split: str = "") -> Any:
    """The tokens of each text, cut to `most`, the longer of two texts first; with a split's name, warns how many were cut."""
    texts = [list(part) for part in zip(*(instance.segments for instance in instances), strict=True)]
    what = f"the {split or 'validation'} split"
    cut = sum(len(ids) > most for ids in run_tokenizer(base.tokenizer, *texts, what=what)["input_ids"]) if split else 0
    if cut:
        log.warning("%d of %d texts of the %s split are longer than %d tokens and were cut.", cut, len(instances), split, most)
    options = {"truncation": "longest_first", "max_length": most, "return_offsets_mapping": True}
    return run_tokenizer(base.tokenizer, *texts, what=what, **options)


def _row(encoded: Any, index: int) -> dict[str, Any]:
    return {name: values[index] for name, values in encoded.items() if name != "offset_mapping"}


def _in_passage(encoded: Any, index: int) -> Bool[np.ndarray, " tokens"]:
    """Whether each token is of the passage, which is the second of two texts."""
    return np.array([segment == 1 for segment in encoded.sequence_ids(index)])


def _answer_tokens(encoded: Any, index: int, instance: Instance) -> tuple[int, int] | None:
    """Positions of the first and the last token of the answer; None where some of it was cut off."""
    offsets, inside = encoded["offset_mapping"][index], _in_passage(encoded, index)
    start, end = (int(bound) for bound in instance.answer)
    passage_end = max((offset[1] for offset, is_inside in zip(offsets, inside, strict=True) if is_inside), default=0)
    return token_span(offsets, inside.tolist(), start, end) if passage_end >= end else None
