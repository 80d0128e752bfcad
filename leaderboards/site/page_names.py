"""File names of pages: readable, safe in every file system, and unique."""

from __future__ import annotations

import re


class PageNames:
    """Gives each key a file name of its own, and the same key always the same name."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def of(self, *parts: str) -> str:
        """The name of a key: letters, digits and hyphens; where two keys would share a name, the later one gets a number.

        >>> names = PageNames()
        >>> names.of("SVA/obj"), names.of("sva obj"), names.of("SVA/obj"), names.of("<>")
        ('sva-obj', 'sva-obj-2', 'sva-obj', 'page')
        """
        key = "\0".join(parts)
        if key not in self._names:
            plain = re.sub(r"[^a-z0-9]+", "-", " ".join(parts).lower()).strip("-")[:80] or "page"
            name, suffix, used = plain, 2, set(self._names.values())
            while name in used:
                name, suffix = f"{plain}-{suffix}", suffix + 1
            self._names[key] = name
        return self._names[key]
