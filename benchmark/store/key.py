"""A cell's identity: everything that may change a number, as data and as 12 hex digits. No torch."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...core.registry import parameters, settings, source_hash
from ...tasks.instance import Quantity


@dataclass(frozen=True)
class TaskKey:
    """Which instances, and what is asked about them."""

    name: str
    version: int
    fingerprint: str
    split: str
    limit: int | None
    sample_seed: int
    quantity: Quantity


def cell_key(
    *,
    fingerprint: str,
    dtype: str,
    task: TaskKey,
    max_tokens: int | None,
    on_split: str,
    method: Any,
    seed: int,
    trained_on: TaskKey | None = None,
) -> dict[str, Any]:
    """The key of a cell, ready for JSON. Device, batch size and package versions are provenance and not in it.

    The seed counts for methods that draw only, and what they are trained on for methods that are trained.
    """
    key = question_key(fingerprint=fingerprint, dtype=dtype, task=task, max_tokens=max_tokens, on_split=on_split)
    key |= {"method": method_key(method), "seed": seed if method.stochastic else None}
    if trained_on is not None:
        key["trained_on"] = asdict(trained_on)
    plain: dict[str, Any] = json.loads(canonical(key))
    return plain


def question_key(*, fingerprint: str, dtype: str, task: TaskKey, max_tokens: int | None, on_split: str) -> dict[str, Any]:
    """The part of a key that says what is asked, ready for JSON."""
    key = {"fingerprint": fingerprint, "dtype": dtype, "task": asdict(task), "max_tokens": max_tokens, "on_split": on_split}
    plain: dict[str, Any] = json.loads(canonical(key))
    return plain


def question(key: Mapping[str, Any]) -> dict[str, Any]:
    """What a cell's key says of the question, the same for every method that was asked it."""
    return {name: value for name, value in key.items() if name not in ("method", "seed", "trained_on", "explanations")}


def method_key(method: Any) -> dict[str, Any]:
    """A method's identity: its name, version and settings, for a user's own file its source, and files it reads; for JSON."""
    key = {"name": method.name, "version": method.version, "settings": settings(method), "source": source_hash(method)}
    files = getattr(method, "files", ())
    if files:
        key["files"] = [hashlib.sha256(Path(file).read_bytes()).hexdigest() for file in files]
    plain: dict[str, Any] = json.loads(canonical(key))
    return plain


def canonical(value: Any) -> str:
    """JSON with sorted keys; what JSON does not know is written by `repr`.

    >>> canonical({"b": (1, 2), "a": None})
    '{"a": null, "b": [1, 2]}'
    """
    return json.dumps(value, sort_keys=True, default=_plain)


def short_hash(value: Any, digits: int = 12) -> str:
    """The first hex digits of the sha256 of `canonical(value)`."""
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:digits]


def folder_name(method: str, key: Mapping[str, Any]) -> str:
    """The name of a cell's folder: `<method>-<12 hex>`.

    >>> folder_name("attention", {"seed": 0})
    'attention-de7d7744ccd7'
    """
    return f"{method}-{short_hash(key)}"


def metric_id(metric: Any) -> str:
    """`name@version`, with an 8-hex suffix where settings differ from the defaults or the metric is a user's own file."""
    extra = _changed(metric), source_hash(metric)
    return f"{metric.name}@{metric.version}" + (f"-{short_hash(extra, 8)}" if any(extra) else "")


def _changed(plugin: Any) -> Mapping[str, Any]:
    """Settings that differ from their defaults."""
    defaults = {name: p.default for name, p in parameters(getattr(plugin, "function", None) or type(plugin)).items()}
    return {
        name: value
        for name, value in settings(plugin).items()
        if name not in defaults or canonical(defaults[name]) != canonical(value)
    }


def _plain(value: Any) -> Any:
    if isinstance(value, (set, frozenset)):
        return sorted(value, key=repr)
    item = getattr(value, "item", None)
    return item() if callable(item) and getattr(value, "size", 2) == 1 else repr(value)
