"""Who was given something: the name that was said once, not the one that was said twice (Wang et al. 2023)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ..instance import GAP, Instance
from .drawn import DrawnTask

REFERENCE = "Wang et al. 2023, Interpretability in the Wild: A Circuit for Indirect Object Identification in GPT-2 Small"
NAMES = (
    "Alice", "Amy", "Andrew", "Anna", "Daniel", "David", "Emma", "Jack", "James", "Jennifer", "John", "Kate", "Kevin", "Laura",
    "Lisa", "Maria", "Mark", "Mary", "Michael", "Paul", "Peter", "Robert", "Sarah", "Steven", "Susan", "Tom",
)  # fmt: skip
OPENINGS = ("When", "After", "Once", "Before")
VERBS = ("went", "came", "walked", "returned")
PLACES = (
    "store",
    "school",
    "garden",
    "station",
    "hospital",
    "office",
    "restaurant",
    "park",
    "library",
    "museum",
    "market",
    "church",
)
GIVEN = ("gave", "handed", "passed", "offered")
THINGS = ("drink", "ring", "book", "letter", "key", "ball", "cup", "ticket", "present", "card", "pen", "flower")
SLOTS = ("OPENING", "NAME1", "and", "NAME2", "VERB", "to1", "the", "PLACE", "NAME3", "GIVE", "a", "THING", "to2", GAP, ".")


@dataclass(frozen=True)
class IndirectObjects(DrawnTask):
    """Who was given something? When Mary and John went to the store John gave a drink to Mary.

    The answer is the name that was said once; against it stands the one that was said twice and gives. Conditions say in which
    order the two come: ABB begins with the answer, BAB with the one who gives. The counterpart has the other name as the one who
    gives, so that answer and competing output change places. There are no commas, so that every word is a token of its own. The
    names are among the commonest of English, and one token each to most models.

    Source: Wang et al. 2023, Interpretability in the Wild: A Circuit for Indirect Object Identification in GPT-2 Small.

    Attributes:
        sentences: How many distinct ones a condition has, in `test`, and in `train` as well.
    """

    name = "ioi"
    conditions = ("ABB", "BAB")
    reference: str = field(init=False, default=REFERENCE)

    @property
    def bases(self) -> tuple[int, ...]:
        """How many values each choice has: two different names, opening, verb, place, what is done, and what is given."""
        return (len(NAMES), len(NAMES) - 1, *map(len, (OPENINGS, VERBS, PLACES, GIVEN, THINGS)))

    def sentence(self, condition: str, choices: Sequence[int]) -> Instance:
        """The sentence with these words.

        >>> IndirectObjects().sentence("ABB", [17, 10, 0, 0, 0, 0, 0]).segments
        ('When Mary and John went to the store John gave a drink to [MASK] .',)
        """
        answer, other = NAMES[choices[0]], NAMES[choices[1] + (choices[1] >= choices[0])]
        lists = (OPENINGS, VERBS, PLACES, GIVEN, THINGS)
        opening, verb, place, given, thing = (words[choice] for words, choice in zip(lists, choices[2:], strict=True))
        first, second = (answer, other) if condition == "ABB" else (other, answer)

        def text(giver: str) -> str:
            return f"{opening} {first} and {second} {verb} to the {place} {giver} {given} a {thing} to {GAP} ."

        return Instance(
            id=f"ioi/{condition}/{'-'.join((opening, answer, other, verb, place, given, thing))}",
            segments=(text(other),),
            answer=(answer,),
            against=(other,),
            condition=condition,
            slots=SLOTS,
            truth={"positions": ((0, 1 if condition == "ABB" else 3), (0, 3 if condition == "ABB" else 1), (0, 8))},
            left_to_right=True,
            counterpart=(text(answer),),
        )
