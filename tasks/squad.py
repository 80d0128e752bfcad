"""SQuAD 1.1: questions whose answer is a span of a passage."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..core.errors import NoSplit, UsageError
from . import published_data as corpus
from .declare import unique
from .instance import Head, Instance, Quantity
from .published_data import Corpus, PublishedRow
from .sampling import balanced

SPLITS = ("train", "validation", "test")
SQUAD = Corpus(
    ("question", "context"),
    {"train": "squad/train", "validation": "squad/dev"},
    ("rajpurkar/squad", "plain_text"),
    home="https://rajpurkar.github.io/SQuAD-explorer (v1.1, one question a row)",
    label="answers",
)
Span = tuple[int, int]


@dataclass(frozen=True)
class Squad:
    """Which words of a passage answer a question (SQuAD 1.1)? For models with a span head.

    Segments are question and passage. An answer is named by the characters where it starts and ends in the passage, blanks at its
    ends left out, so that no tokenizer is needed here; all that annotators gave are right, and the first is `answer`. `test` is
    the published dev set: the true test set is secret. Passages longer than a model reads are not cut: such questions are
    refused, or left out and counted with `--on-split skip`; `--max-tokens 384` leaves out questions as De Cao et al. 2020 do.
    Source: Rajpurkar et al. 2016.

    Attributes:
        data_dir: Folder with the files (`squad/dev.jsonl` and so on); None: that of the environment variable FLOWGAUGE_DATA, else
            the Hub is read. A folder that lacks the file is an error; the Hub never stands in for it.

    Raises:
        UsageError: By `instances`: no such split, data that cannot be had or read (with the row), with what to do.
    """

    data_dir: str | Path | None = None
    name: str = field(init=False, default="squad")
    version: int = field(init=False, default=1)
    head: Head = field(init=False, default="span")
    quantity: Quantity = field(init=False, default=Quantity())

    @property
    def source(self) -> str:
        """Which file or which split on the Hub each split is read from; files called `*_part` are named as parts."""
        return corpus.source(SQUAD, self.data_dir)

    def instances(self, split: str = "test", limit: int | None = None, seed: int = 0) -> tuple[Instance, ...]:
        """The questions of a split in the source's order; with a limit, a seeded sample.

        Raises:
            NoSplit: Another split.
            UsageError: No data, a row without a question, a passage or an answer, an answer that is not where it is said to be.
        """
        if split not in SPLITS:
            raise NoSplit(f"task {self.name!r} has no split {split!r}; it has: {', '.join(SPLITS)}.")
        stored = split if split in SQUAD.files else "validation"
        made = (_instance(stored, row) for row in corpus.read(self.name, SQUAD, stored, self.data_dir))
        return balanced(unique(self.name, made), limit, seed)


def _instance(split: str, row: PublishedRow) -> Instance:
    question, context = row.texts
    if not question.strip() or not context.strip():
        raise UsageError(f"{row.where}: the {'context' if question.strip() else 'question'} is empty.")
    found = dict.fromkeys(_span(context, text, start, row.where) for text, start in _answers(row))
    first, *also = found
    return Instance(f"squad/{split}/{row.key}", (question.strip(), context), first, also=tuple(also))


def _answers(row: PublishedRow) -> list[tuple[str, int]]:
    """Text and start of each answer, in either of the published forms: a list of objects, or an object of lists.

    Raises:
        UsageError: Another form, or no answer.
    """
    try:
        stored: Any = json.loads(row.label)
        listed = zip(stored["text"], stored["answer_start"], strict=True) if isinstance(stored, Mapping) else map(_pair, stored)
        found = [(text, start) for text, start in listed if isinstance(text, str) and type(start) is int]
        whole = len(found) == len(stored["text"] if isinstance(stored, Mapping) else stored)
    except (ValueError, TypeError, KeyError, RecursionError):
        found, whole = [], False
    if not whole:
        raise UsageError(
            f"{row.where}: answers must be a list of {{text, answer_start}} (in characters), got {row.label[:60]!r}."
        )
    if not found:
        raise UsageError(f"{row.where}: no answer; questions that have none (SQuAD 2.0) are no part of this task.")
    return found


def _pair(answer: Any) -> tuple[Any, Any]:
    return answer["text"], answer["answer_start"]


def _span(context: str, text: str, start: int, where: str) -> Span:
    """Start and end of an answer in the context, in characters, blanks at its ends left out.

    Raises:
        UsageError: It is empty, or something else stands there.
    """
    there = context[start : start + len(text)] if start >= 0 else ""
    if not text.strip():
        raise UsageError(f"{where}: an answer is empty.")
    if there != text:
        raise UsageError(f"{where}: the answer {text!r} is not at character {start} of the context, where {there!r} stands.")
    begin = start + len(text) - len(text.lstrip())
    return begin, begin + len(text.strip())
