"""Which year comes later: two digits that are larger than those of the first year (Hanna, Liu and Variengien 2023)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..instance import GAP, Instance
from .drawn import DrawnTask

REFERENCE = (
    "Hanna, Liu and Variengien 2023, How Does GPT-2 Compute Greater-Than?: Interpreting Mathematical Abilities in a Pre-Trained "
    "Language Model"
)
EVENTS = (
    "war", "siege", "project", "journey", "study", "trade", "building", "famine", "strike", "voyage", "treaty", "reform",
    "drought", "campaign", "exhibition", "conflict", "marriage", "crisis", "reign", "expedition",
)  # fmt: skip
FIRST, LAST, FURTHEST = 12, 89, 9
"""The least and the largest start within a century, and how many years at most lie between it and each of the two answers."""


@dataclass(frozen=True)
class GreaterThan(DrawnTask):
    """Which year is later? The war lasted from the year 1732 to the year 17 and then 45, not 19.

    The answer is a year after the start, and against it stands one that lies as many years before. Any later year would be as
    right, so that a model need not find the answer likeliest of all. The counterpart begins in the year 01 of the century, as in
    the publication, so that both are right there. The two digits must be one token that follows the century's, as with GPT-2's
    tokenizer; years of which a tokenizer makes other tokens are left out with `--on-split skip`. Conditions are the centuries.

    Source: Hanna, Liu and Variengien 2023, How Does GPT-2 Compute Greater-Than?: Interpreting Mathematical Abilities in a
    Pre-Trained Language Model.

    Attributes:
        sentences: How many distinct ones a condition has, in `test`, and in `train` as well.
    """

    name = "greater-than"
    conditions = ("11", "12", "13", "14", "15", "16", "17")
    reference: str = field(init=False, default=REFERENCE)

    @property
    def bases(self) -> tuple[int, ...]:
        """How many values each choice has: event, start, and distance in years."""
        return len(EVENTS), LAST - FIRST + 1, FURTHEST

    def sentence(self, condition: str, choices: Sequence[int]) -> Instance:
        """The sentence with these words.

        >>> instance = GreaterThan().sentence("17", [0, 20, 8])
        >>> instance.segments, instance.answer, instance.against
        (('The war lasted from the year 1732 to the year 17[MASK]',), ('41',), ('23',))
        """
        event, start, distance = EVENTS[choices[0]], FIRST + choices[1], 1 + choices[2]

        def text(year: int) -> str:
            return f"The {event} lasted from the year {condition}{year:02} to the year {condition}{GAP}"

        return Instance(
            id=f"greater-than/{condition}/{event}-{start}-{distance}",
            segments=(text(start),),
            answer=(f"{start + distance:02}",),
            against=(f"{start - distance:02}",),
            condition=condition,
            truth={"positions": ((0, 6),)},
            left_to_right=True,
            counterpart=(text(1),),
        )
