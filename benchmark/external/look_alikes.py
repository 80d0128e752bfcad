"""Names that a reader may mistake for another."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection

ALIKE = str.maketrans(
    "\u0430\u0435\u043e\u0440\u0441\u0443\u0445\u043a\u043c\u0442\u0432\u043d\u0456\u0458\u0455"
    "\u03b1\u03b5\u03bf\u03c1\u03b9\u03bd\u03c4\u03c5\u03ba01i",
    "aeopcyxkmtbhljsaeoplvtukoll",
)
"""Cyrillic, Greek and Latin letters and digits, each with the Latin letter that it looks like."""


def look_alike(name: str, known: Collection[str]) -> str | None:
    """The known name that a name may be mistaken for; None where there is none, and where the name itself is known.

    Case, accents, signs between letters and letters of other scripts that look Latin do not count; of what is left, one letter
    may be another, missing, added, or change places with its neighbour.

    Args:
        name: Any text.
        known: The names that are taken.

    >>> look_alike("Influence_Patterns", ["lime", "influence-patterns"]), look_alike("gradients", ["lime"])
    ('influence-patterns', None)
    """
    if name in known:
        return None
    letters = _letters(name)
    return next((other for other in known if _within_one_edit(letters, _letters(other))), None)


def _letters(name: str) -> str:
    """The letters and digits of a name in one form for all that look alike."""
    plain = "".join(letter for letter in unicodedata.normalize("NFKD", name) if not unicodedata.combining(letter))
    return re.sub(r"[\W_]", "", plain.casefold()).translate(ALIKE).replace("rn", "m").replace("vv", "w")


def _within_one_edit(one: str, other: str) -> bool:
    """Whether two texts are the same but for one letter, or for two neighbours in each other's place."""
    start = next(
        (place for place, pair in enumerate(zip(one, other, strict=False)) if pair[0] != pair[1]), min(len(one), len(other))
    )
    one, other = one[start:], other[start:]
    swapped = one[:2] == other[1::-1] and one[2:] == other[2:]
    return one[1:] == other[1:] or one[1:] == other or one == other[1:] or swapped
