"""Sentences that are built from numbered choices of words and drawn with a seed, the same number in each condition."""

from __future__ import annotations

import abc
import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar

import numpy as np

from ...core.errors import NoSplit, UsageError
from ..instance import Head, Instance, Quantity
from ..sampling import each_condition

SPLITS = ("train", "test")


def digits(code: int, bases: Sequence[int]) -> list[int]:
    """The digits of a mixed-radix number, the first of which counts fastest.

    Args:
        code: From 0 up to the product of the bases.
        bases: How many values each digit has.

    >>> digits(7, (2, 3, 4))
    [1, 0, 1]
    """
    values = []
    for base in bases:
        code, digit = divmod(code, base)
        values.append(digit)
    return values


@dataclass(frozen=True)
class DrawnTask(abc.ABC):
    """A task whose sentences are numbered in each condition, and drawn without repetition.

    `train`, for methods that are trained, has the sentences that are drawn after those of `test`, so that no sentence is in both.

    Attributes:
        sentences: How many distinct ones a condition has, in `test`, and in `train` where there are as many more.

    Raises:
        UsageError: More sentences than there are.
    """

    sentences: int = 250

    name: ClassVar[str]
    version: ClassVar[int] = 1
    head: ClassVar[Head] = "masked"
    quantity: ClassVar[Quantity] = Quantity()
    source: ClassVar[str] = "built in"
    conditions: ClassVar[tuple[str, ...]]

    def __post_init__(self) -> None:
        most = self.capacity
        if isinstance(self.sentences, bool) or not isinstance(self.sentences, int) or not 1 <= self.sentences <= most:
            raise UsageError(
                f"task {self.name!r} has 1 to {most} distinct sentences a condition, got sentences={self.sentences!r}."
            )

    @property
    @abc.abstractmethod
    def bases(self) -> tuple[int, ...]:
        """How many values each choice has."""

    @abc.abstractmethod
    def sentence(self, condition: str, choices: Sequence[int]) -> Instance | None:
        """The sentence of a condition and a choice of words; None where the choice gives none."""

    @property
    def doc(self) -> str:
        """The first line of the task's docstring."""
        return (type(self).__doc__ or "").partition("\n")[0]

    @cached_property
    def capacity(self) -> int:
        """The number of distinct sentences of a condition."""
        return math.prod(self.bases)

    def instances(self, split: str = "test", limit: int | None = None, seed: int = 0) -> tuple[Instance, ...]:
        """Sentences in round-robin order over the conditions, so that the first n are balanced and a smaller limit is a prefix.

        Args:
            split: `test`, or `train`.
            limit: How many instances in all; None for all.
            seed: Of the draw; a sentence has the same id under every seed.

        Raises:
            NoSplit: Another split, or `train` where `test` has every sentence.
            UsageError: A limit below 1.
        """
        if split not in SPLITS:
            raise NoSplit(f"task {self.name!r} has no split {split!r}; it has: {', '.join(SPLITS)}.")
        if limit is not None and limit < 1:
            raise UsageError(f"limit must be 1 or more, got {limit}.")
        first, last = (0, self.sentences) if split == "test" else (self.sentences, min(self.capacity, 2 * self.sentences))
        if first == last:
            raise NoSplit(f"task {self.name!r} has no split 'train' left: with sentences={first}, all are in `test`.")
        count = first + each_condition(limit, len(self.conditions), last - first)
        drawn = [self._draw(condition, seed, count)[first:] for condition in self.conditions]
        return tuple(instance for together in zip(*drawn, strict=True) for instance in together)[:limit]

    def _draw(self, condition: str, seed: int, count: int) -> list[Instance]:
        space = math.prod(self.bases)
        rng = np.random.default_rng([seed, self.conditions.index(condition)])
        drawn: dict[int, Instance] = {}
        while len(drawn) < count:
            code = int(rng.integers(space))
            if code not in drawn and (instance := self.sentence(condition, digits(code, self.bases))) is not None:
                drawn[code] = instance
        return list(drawn.values())
