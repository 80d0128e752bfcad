"""A hash of a task's instances: the same on every machine, different when any field of any instance differs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from ..core.errors import UsageError
from .instance import Instance

BY_TEMPLATE = ("left_to_right", "counterpart")
"""Fields that follow from the others in an instance of a template."""


def fingerprint(instances: Iterable[Instance]) -> str:
    """Sha256 over every field of every instance, in order, as canonical JSON (sorted keys, ASCII, one instance a line).

    Fields that came later (`also`, `cluster`, `left_to_right`, `counterpart`) are left out where they are empty, so that
    instances without them keep their fingerprint. The last two are also left out where words have slots, since they follow from
    the template.

    Args:
        instances: In the task's order.

    Returns:
        The hash in hexadecimal digits.

    Raises:
        UsageError: `truth` holds a value that JSON cannot write.

    >>> fingerprint([Instance("a", ("the cat [MASK] .",), ("is",), ("are",))])[:12]
    '0534c5a98a33'
    """
    digest = hashlib.sha256()
    for instance in instances:
        values = {field.name: _plain(getattr(instance, field.name), instance.id) for field in fields(instance)}
        for later in ("also", "cluster", *BY_TEMPLATE):
            if not getattr(instance, later) or (instance.slots and later in BY_TEMPLATE):
                del values[later]
        digest.update(json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n")
    return digest.hexdigest()


def _plain(value: Any, name: str) -> Any:
    """The value in JSON's own types; numbers and arrays of NumPy become numbers and lists."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item, name) for key, item in value.items()}
    if isinstance(value, set | frozenset):
        return sorted((_plain(item, name) for item in value), key=lambda item: json.dumps(item, sort_keys=True))
    if isinstance(value, tuple | list):
        return [_plain(item, name) for item in value]
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if value == value and abs(value) != float("inf") else repr(value)
    if hasattr(value, "tolist"):
        return _plain(value.tolist(), name)
    kind = type(value).__name__
    raise UsageError(f"instance {name!r} holds a {kind}, which cannot be fingerprinted; use numbers, texts, lists, mappings.")
