"""What a task's instances are, as one number: the same on every machine, different when any field of any instance differs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

from ..core.errors import UsageError
from .instance import Instance


def fingerprint(instances: Iterable[Instance]) -> str:
    """Sha256 over every field of every instance, in order, as canonical JSON (sorted keys, ASCII, one instance a line).

    `also` counts where there is any, so that tasks with one answer are what they were before there could be several.

    Raises:
        UsageError: `truth` holds something that JSON has no form for.

    >>> fingerprint([Instance("a", ("the cat [MASK] .",), ("is",), ("are",))])[:12]
    '0534c5a98a33'
    """
    total = hashlib.sha256()
    for instance in instances:
        values = {field.name: _plain(getattr(instance, field.name), instance.id) for field in fields(instance)}
        if not instance.also:
            del values["also"]
        total.update(json.dumps(values, sort_keys=True, separators=(",", ":"), allow_nan=False).encode("ascii") + b"\n")
    return total.hexdigest()


def _plain(value: Any, name: str) -> Any:
    """The value in JSON's own types; numpy's numbers and arrays count as numbers and lists."""
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
