"""The values a task is made of: `Instance`, `Quantity` and the `Task` protocol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from ..core.errors import UsageError

GAP = "[MASK]"
Head = Literal["masked", "next", "label", "span"]
Form = Literal["logit_difference", "logit", "probability", "log_probability"]
Label = Literal["gold", "predicted"]


@dataclass(frozen=True)
class Quantity:
    """The scalar that methods explain.

    Attributes:
        form: `logit_difference` is logit[answer] - logit[against] (logits); the others read the answer alone.
        label: Whose answer is explained: the task's (`gold`) or the one the model gives on the clean input (`predicted`).
    """

    form: Form = "logit_difference"
    label: Label = "gold"


@dataclass(frozen=True)
class Instance:
    """One thing to explain.

    Attributes:
        id: Unique within its task and independent of order, limit and seed.
        segments: One or two texts; `[MASK]` marks the gap of a masked instance, exactly once.
        answer: The right output, one an output head: a word (masked, next), a label name or a label index. Of a span, its start
            and end in the last text, counted in characters: the words of the answer are `segments[-1][start:end]`.
        against: The competing output, one an output head. Empty: the strongest other output, fixed on the clean input.
        also: Further answers that are as right, each written as `answer` is. The one that the model finds likeliest on the clean
            input is explained, so that a model that gives any of them is right.
        condition: The group that intervals are stratified by, such as `SP`.
        slots: The name of each blank-separated word's place in its template. Not empty: every word must be one token.
        truth: Planted answers and lexical items, for metrics only; never part of a batch.
    """

    id: str
    segments: tuple[str, ...]
    answer: tuple[int | str, ...]
    against: tuple[int | str, ...] = ()
    condition: str = ""
    slots: tuple[str, ...] = ()
    truth: Mapping[str, object] = field(default_factory=dict)
    also: tuple[tuple[int | str, ...], ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= len(self.segments) <= 2 or not all(s.strip() for s in self.segments):
            raise UsageError(f"instance {self.id!r}: expected one or two texts that are not empty, got {self.segments!r}.")
        if not self.answer:
            raise UsageError(f"instance {self.id!r} has no answer.")
        if self.against and len(self.against) != len(self.answer):
            raise UsageError(f"instance {self.id!r}: {len(self.answer)} answers but {len(self.against)} to hold against them.")
        if any(len(other) != len(self.answer) for other in self.also) or (self.also and self.against):
            raise UsageError(
                f"instance {self.id!r}: further answers need as many parts as the answer ({len(self.answer)}), "
                "and nothing held against them."
            )
        words = sum(len(s.split()) for s in self.segments)
        if self.slots and len(self.slots) != words:
            raise UsageError(f"instance {self.id!r}: {words} words but {len(self.slots)} slot names.")


@runtime_checkable
class Task(Protocol):
    """Instances, the head they need and what is asked about them. `doc` is the one line that `flowgauge list` shows."""

    @property
    def name(self) -> str:
        """As on the command line and in results."""
        ...

    @property
    def version(self) -> int:
        """Raised by any change that moves the instances."""
        ...

    @property
    def head(self) -> Head:
        """The model head that the instances need."""
        ...

    @property
    def quantity(self) -> Quantity:
        """What is explained."""
        ...

    @property
    def source(self) -> str:
        """Where the instances came from: `built in`, a file's name, a hub name. Part of the record."""
        ...

    def instances(self, split: str, limit: int | None, seed: int) -> tuple[Instance, ...]:
        """`limit` instances of a split (None: all), balanced over conditions, sampled with `seed` without repetition."""
        ...
