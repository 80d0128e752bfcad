"""SQuAD 1.1: questions whose answer is a span of a passage."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..core.errors import NoSplit, UsageError
from .declare import unique
from .instance import Head, Instance, Quantity, cluster_of
from .published_data import Corpus, PublishedRow, describe_source, read_rows
from .sampling import balanced

SPLITS = ("train", "validation", "test")
SQUAD = Corpus(
    ("question", "context"),
    {"train": "squad/train", "validation": "squad/dev"},
    ("rajpurkar/squad", "plain_text"),
    home="https://rajpurkar.github.io/SQuAD-explorer (v1.1, one question a row)",
    label="answers",
)
REFERENCE = "Rajpurkar, Zhang, Lopyrev and Liang 2016, SQuAD: 100,000+ Questions for Machine Comprehension of Text"
Span = tuple[int, int]


@dataclass(frozen=True)
class Squad:
    """Which words of a passage answer a question (SQuAD 1.1)? For models with a span head.

    The segments are question and passage; the questions of a passage are one cluster. An answer is given by the characters where
    it starts and ends in the passage, without blanks at its ends, so that no tokenizer is needed here. All answers of the
    annotators are right, and the first is `answer`. `test` is the published dev set, because the test set is secret. Passages
    longer than a model reads are not cut: such questions are refused, or left out and counted with `--on-split skip`;
    `--max-tokens 384` leaves out the questions that De Cao et al. 2020 leave out.

    Source: Rajpurkar, Zhang, Lopyrev and Liang 2016, SQuAD: 100,000+ Questions for Machine Comprehension of Text.

    Attributes:
        data_dir: Folder with the files (`squad/dev.jsonl` and so on); None: that of the environment variable FLOWGAUGE_DATA, else
            the Hub is read. A folder that lacks the file is an error; the Hub is then not read in its place.
    """

    data_dir: str | Path | None = None
    name: str = field(init=False, default="squad")
    version: int = field(init=False, default=2)
    head: Head = field(init=False, default="span")
    quantity: Quantity = field(init=False, default=Quantity())
    reference: str = field(init=False, default=REFERENCE)

    @property
    def source(self) -> str:
        """Which file or which split on the Hub each split is read from; files called `*_part` are named as parts."""
        return describe_source(SQUAD, self.data_dir)

    def instances(self, split: str = "test", limit: int | None = None, seed: int = 0) -> tuple[Instance, ...]:
        """The questions of a split in the order of the data; with a limit, a seeded sample.

        Args:
            split: `train`, `validation` or `test`.
            limit: How many questions; None for all.
            seed: Of the sample.

        Raises:
            NoSplit: Another split.
            UsageError: No data, a row without a question, a passage or an answer, an answer that the passage does not have at the
                stated character.
        """
        if split not in SPLITS:
            raise NoSplit(f"task {self.name!r} has no split {split!r}; it has: {', '.join(SPLITS)}.")
        stored_split = split if split in SQUAD.files else "validation"
        rows = read_rows(self.name, SQUAD, stored_split, self.data_dir)
        return balanced(unique(self.name, (_instance(stored_split, row) for row in rows)), limit, seed)


def _instance(split: str, row: PublishedRow) -> Instance:
    question, context = row.texts
    if not question.strip() or not context.strip():
        raise UsageError(f"{row.where}: the {'context' if question.strip() else 'question'} is empty.")
    spans = dict.fromkeys(_span(context, text, start, row.where) for text, start in _answers(row))
    first, *also = spans
    texts, also_right = (question.strip(), context), tuple(also)
    return Instance(f"squad/{split}/{row.key}", texts, first, also=also_right, cluster=cluster_of(context))


def _answers(row: PublishedRow) -> list[tuple[str, int]]:
    """Text and start of each answer, in either of the published forms: a list of objects, or an object of lists.

    Raises:
        UsageError: Another form, or no answer.
    """
    answers: list[tuple[str, int]] = []
    try:
        stored: Any = json.loads(row.label)
        listed = zip(stored["text"], stored["answer_start"], strict=True) if isinstance(stored, Mapping) else map(_pair, stored)
        answers = [(text, start) for text, start in listed if isinstance(text, str) and type(start) is int]
        all_read = len(answers) == len(stored["text"] if isinstance(stored, Mapping) else stored)
    except (ValueError, TypeError, KeyError, RecursionError):
        all_read = False
    if not all_read:
        raise UsageError(
            f"{row.where}: answers must be a list of {{text, answer_start}} (in characters), got {row.label[:60]!r}."
        )
    if not answers:
        raise UsageError(f"{row.where}: no answer; questions that have none (SQuAD 2.0) are no part of this task.")
    return answers


def _pair(answer: Any) -> tuple[Any, Any]:
    return answer["text"], answer["answer_start"]


def _span(context: str, text: str, start: int, where: str) -> Span:
    """Start and end of an answer in the context, in characters, without blanks at its ends.

    Raises:
        UsageError: The answer is empty, or the context has another text there.
    """
    there = context[start : start + len(text)] if start >= 0 else ""
    if not text.strip():
        raise UsageError(f"{where}: an answer is empty.")
    if there != text:
        raise UsageError(f"{where}: the answer {text!r} is not at character {start} of the context, where {there!r} stands.")
    begin = start + len(text) - len(text.lstrip())
    return begin, begin + len(text.strip())
