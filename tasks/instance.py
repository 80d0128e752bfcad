"""The values a task is made of: `Instance`, `Quantity` and the `Task` protocol."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, runtime_checkable

from ..core.errors import UsageError

GAP = "[MASK]"
SHORT = 32
"""Characters up to which a text names its own cluster."""
Head = Literal["masked", "next", "label", "span"]
FITTING: Mapping[Head, tuple[Head, ...]] = {
    "masked": ("masked", "next"),
    "next": ("next",),
    "label": ("label",),
    "span": ("span",),
}
"""The heads that instances of a head can be asked of. A model of the next word is asked for a gap with the words before it."""
Form = Literal["logit_difference", "logit", "probability", "log_probability"]
Label = Literal["gold", "predicted"]


@dataclass(frozen=True)
class Quantity:
    """The scalar that methods explain.

    Attributes:
        form: `logit_difference` is logit[answer] - logit[against] (logits); the others read the output of the answer alone.
        label: Which answer is explained: the task's (`gold`) or the one that the model gives on the clean input (`predicted`).
    """

    form: Form = "logit_difference"
    label: Label = "gold"


@dataclass(frozen=True)
class Instance:
    """One input with its answer, to be explained.

    Attributes:
        id: Unique within its task and independent of order, limit and seed.
        segments: One or two texts; `[MASK]` marks the gap of a masked instance, exactly once.
        answer: The right output, one an output head: a word (masked, next), a label name or a label index. Of a span, its start
            and end in the last text, counted in characters: the words of the answer are `segments[-1][start:end]`.
        against: The competing output, one an output head. Empty: the strongest other output, fixed on the clean input.
        also: Further answers that are as right, each written as `answer` is. The one that the model finds likeliest on the clean
            input is explained, so that a model that gives any of them is right.
        left_to_right: Whether the words before the gap decide between the answers, so that a model of the next word can be asked
            with these words alone. Where only punctuation follows the gap, this need not be said.
        counterpart: The texts with the feature that decides flipped, so that what stands against the answer is right: for methods
            that exchange states between two runs. Each has as many words as the text that it stands for, with its gap at the same
            word. Empty: there is none.
        cluster: The source that the instance shares with others, such as the passage of several questions, as `cluster_of` names
            it. Intervals and tests take the instances of a cluster as drawn together. Empty: the instance is drawn by itself.
        condition: The group that intervals are stratified by, such as `SP`.
        slots: The name of each blank-separated word's slot in its template. Not empty: every word must be one token.
        truth: Planted answers and lexical items, for metrics only; never part of a batch.

    Raises:
        UsageError: No text or more than two, no answer, as many answers and competing outputs as do not match, another number of
            slot names than of words, or a counterpart whose words or gaps are not as many as those of the texts.
    """

    id: str
    segments: tuple[str, ...]
    answer: tuple[int | str, ...]
    against: tuple[int | str, ...] = ()
    condition: str = ""
    slots: tuple[str, ...] = ()
    truth: Mapping[str, object] = field(default_factory=dict)
    also: tuple[tuple[int | str, ...], ...] = ()
    cluster: str = ""
    left_to_right: bool = False
    counterpart: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= len(self.segments) <= 2 or not all(s.strip() for s in self.segments):
            raise UsageError(f"instance {self.id!r}: expected one or two texts that are not empty, got {self.segments!r}.")
        if not self.answer:
            raise UsageError(f"instance {self.id!r} has no answer: name one output for each output head.")
        if self.against and len(self.against) != len(self.answer):
            raise UsageError(
                f"instance {self.id!r}: {len(self.answer)} answers but {len(self.against)} outputs to hold against them."
            )
        if any(len(further) != len(self.answer) for further in self.also) or (self.also and self.against):
            raise UsageError(
                f"instance {self.id!r}: further answers need as many parts as the answer ({len(self.answer)}), "
                "and nothing held against them."
            )
        words = sum(len(s.split()) for s in self.segments)
        if self.slots and len(self.slots) != words:
            raise UsageError(f"instance {self.id!r}: {words} words but {len(self.slots)} slot names.")
        if self.counterpart and [_form(text) for text in self.counterpart] != [_form(text) for text in self.segments]:
            raise UsageError(
                f"instance {self.id!r}: the counterpart {self.counterpart!r} must have as many texts as {self.segments!r}, each "
                f"with as many words and with {GAP} where the text has it."
            )


def _form(text: str) -> tuple[int, tuple[int, ...]]:
    """How many words a text has, and which of them hold a gap."""
    words = text.split()
    return len(words), tuple(index for index, word in enumerate(words) if GAP in word)


def cluster_of(text: str) -> str:
    """The name of the cluster of all instances that come from a text.

    A short text is its own name; of a longer one it is the start of its sha256.

    Args:
        text: The source: a passage, a premise, or any name of it. Blanks at its ends do not count.

    >>> cluster_of(" passage 7 "), cluster_of("Fifty yards away, the dog that had barked all night was asleep.")
    ('passage 7', '0a41a162635f8f8c')
    """
    text = text.strip()
    return text if len(text) <= SHORT else hashlib.sha256(text.encode()).hexdigest()[:16]


@runtime_checkable
class Task(Protocol):
    """Instances, the model head they need and the quantity that is explained.

    A task may also have `doc`, the one line that `flowgauge list` shows, `reference`, the publication that it follows, `classes`,
    the names of its classes, `model`, the one model that it is made for, and `left_out(split)`, which says in one line how many
    of its rows are no instances and why, for the record.
    """

    @property
    def name(self) -> str:
        """The name on the command line and in results."""
        ...

    @property
    def version(self) -> int:
        """A number that is raised by any change to the instances."""
        ...

    @property
    def head(self) -> Head:
        """The model head that the instances need."""
        ...

    @property
    def quantity(self) -> Quantity:
        """The scalar that is explained."""
        ...

    @property
    def source(self) -> str:
        """Where the instances come from: `built in`, the name of a file or of a data set on the Hub. Part of the record."""
        ...

    def instances(self, split: str, limit: int | None, seed: int) -> tuple[Instance, ...]:
        """Instances of a split, balanced over conditions.

        Args:
            split: A name such as `train`, `validation` or `test`.
            limit: How many instances; None: all.
            seed: Of the sample, which is drawn without repetition.
        """
        ...
