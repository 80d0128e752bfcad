"""The identity of a cell: everything that may change one of its numbers, as data and as 12 hex digits."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ...core.plugin_source import source_hash
from ...core.registry import parameters, settings
from ...tasks.instance import Quantity
from .sums import file_sum


@dataclass(frozen=True)
class TaskKey:
    """The identity of a task's instances, and the quantity that is explained.

    Attributes:
        name: The task's name.
        version: The task's version.
        fingerprint: Sha256 of the instances.
        split: The split that they are of.
        limit: How many were drawn; None: all.
        sample_seed: Seed of the draw.
        quantity: The quantity q that is explained.
    """

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
    """The key of a cell, ready for JSON. Device, batch size and package versions are provenance and no part of it.

    Args:
        fingerprint: Sha256 of the model.
        dtype: Floating-point type of the model's weights.
        task: The explained instances.
        max_tokens: Longer sentences were left out.
        on_split: What happens to words that are not one token.
        method: The method.
        seed: Its seed; a part of the key only for methods that draw.
        trained_on: The instances that the method is trained on; None for methods that are not trained.
    """
    key = question_key(fingerprint=fingerprint, dtype=dtype, task=task, max_tokens=max_tokens, on_split=on_split)
    key |= {"method": method_key(method), "seed": seed if method.stochastic else None}
    if trained_on is not None:
        key["trained_on"] = asdict(trained_on)
    plain: dict[str, Any] = json.loads(canonical(key))
    return plain


def question_key(*, fingerprint: str, dtype: str, task: TaskKey, max_tokens: int | None, on_split: str) -> dict[str, Any]:
    """The part of a key that is the same for every method: model, instances and quantity, ready for JSON."""
    key = {"fingerprint": fingerprint, "dtype": dtype, "task": asdict(task), "max_tokens": max_tokens, "on_split": on_split}
    plain: dict[str, Any] = json.loads(canonical(key))
    return plain


def question(key: Mapping[str, Any]) -> dict[str, Any]:
    """The part of a cell's key that is the same for every method: model, instances and quantity."""
    return {name: value for name, value in key.items() if name not in ("method", "seed", "trained_on", "explanations")}


def method_key(method: Any) -> dict[str, Any]:
    """The identity of a method, ready for JSON: name, version, settings, the source of a user's own file, and files it reads."""
    key = {"name": method.name, "version": method.version, "settings": _keyed_settings(method), "source": source_hash(method)}
    files = getattr(method, "files", ())
    if files:
        key["files"] = [file_sum(Path(file)) for file in files]
    plain: dict[str, Any] = json.loads(canonical(key))
    return plain


def _keyed_settings(method: Any) -> dict[str, Any]:
    """All settings but those of `later` that have their default, which cells from before these settings have too."""
    later = set(getattr(method, "later", ()))
    unchanged = later - _changed(method).keys() if later else later
    return {name: value for name, value in settings(method).items() if name not in unchanged}


def canonical(value: Any) -> str:
    """A value as JSON with sorted keys; types that JSON does not have are written by `repr`.

    >>> canonical({"b": (1, 2), "a": None})
    '{"a": null, "b": [1, 2]}'
    """
    return json.dumps(value, sort_keys=True, default=_plain)


def short_hash(value: Any, digits: int = 12) -> str:
    """The first hex digits of the sha256 of `canonical(value)`.

    >>> short_hash({"seed": 0})
    'de7d7744ccd7'
    """
    return hashlib.sha256(canonical(value).encode()).hexdigest()[:digits]


def folder_name(method: str, key: Mapping[str, Any]) -> str:
    """The name of a cell's folder: `<method>-<12 hex>`.

    >>> folder_name("attention", {"seed": 0})
    'attention-de7d7744ccd7'
    """
    return f"{method}-{short_hash(key)}"


def metric_id(metric: Any) -> str:
    """The identity of a metric: `name@version`, and an 8-hex suffix if settings differ from defaults or it is a user's file."""
    extra = _changed(metric), source_hash(metric)
    return f"{metric.name}@{metric.version}" + (f"-{short_hash(extra, 8)}" if any(extra) else "")


def _changed(plugin: Any) -> Mapping[str, Any]:
    """The settings of a plug-in that differ from their defaults."""
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
