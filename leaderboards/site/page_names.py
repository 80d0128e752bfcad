"""File names of pages: readable, safe, each used once. No torch."""

from __future__ import annotations

import re


class Names:
    """Hands out a name for each key, the same for the same key."""

    def __init__(self) -> None:
        self._given: dict[str, str] = {}
        self._used: set[str] = set()

    def of(self, *parts: str) -> str:
        """A name made of letters, digits and '-'; where two keys would share one, the later gets a number.

        >>> names = Names()
        >>> names.of("SVA/obj"), names.of("sva obj"), names.of("SVA/obj"), names.of("<>")
        ('sva-obj', 'sva-obj-2', 'sva-obj', 'page')
        """
        key = "\0".join(parts)
        if key not in self._given:
            plain = re.sub(r"[^a-z0-9]+", "-", " ".join(parts).lower()).strip("-")[:80] or "page"
            name, number = plain, 2
            while name in self._used:
                name, number = f"{plain}-{number}", number + 1
            self._used.add(name)
            self._given[key] = name
        return self._given[key]
