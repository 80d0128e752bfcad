"""The command that computes a damaged cell again, for messages."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from typing import Any

from ...metrics.registry import METRICS
from .record import Record, Score


def mending_command(record: Record, url: str) -> str:
    """A sentence that names the `flowgauge run` by which the damaged files of a cell are computed again.

    Args:
        record: The record of the cell.
        url: The store as the user named it.
    """
    if "explanations" in record.key:
        return "`flowgauge import` of the same folder mends it."
    key, task, asked = record.key, record.key.get("task") or {}, record.asked
    if not asked:
        return "The `flowgauge run` that computed it mends it."
    plain = {"split": "test", "dtype": "float32", "on_split": "error", "sample_seed": 0, "seed": 0}
    options: dict[str, Any] = {
        "store": url, "model": asked.get("model"), "revision": asked.get("revision"), "task": spec_text(asked.get("task", {})),
        "method": spec_text(asked.get("method", {})), "limit": task.get("limit"), "split": task.get("split"),
        "sample_seed": task.get("sample_seed"), "seed": record.seed, "dtype": key.get("dtype"),
        "max_tokens": key.get("max_tokens"), "on_split": key.get("on_split"),
        "fit_limit": (key.get("trained_on") or {}).get("limit"),
    }  # fmt: skip
    words = [
        word
        for name, value in options.items()
        if value is not None and value != plain.get(name)
        for word in (f"--{name.replace('_', '-')}", str(value))
    ]
    words += [word for ours, theirs in (asked.get("columns") or {}).items() for word in ("--column", f"{ours}={theirs}")]
    return f"`flowgauge run {shlex.join([*words, *_metrics(record)])}` mends it."


def _metrics(record: Record) -> list[str]:
    """Options that name the metrics of a cell, without those of users' own files, whose place is not recorded."""
    words = []
    for score in record.scores.values():
        if score.name in METRICS.builtin:
            words += ["--metric", metric_spec(score)]
    return words


def metric_spec(score: Score) -> str:
    """The metric of a score as the command line takes it, with its settings where these are not the defaults."""
    return score.name if score.metric == f"{score.name}@{score.version}" else spec_text({"name": score.name, **score.settings})


def spec_text(spec: Mapping[str, Any]) -> str:
    """A plug-in with its settings as the command line takes it.

    >>> spec_text({"name": "random", "draws": 2, "exact": True, "rule": "paper"})
    'random:draws=2,exact=true,rule=paper'
    """
    values = {name: value if isinstance(value, str) else json.dumps(value) for name, value in spec.items() if name != "name"}
    settings = ",".join(f"{name}={value}" for name, value in values.items())
    return f"{spec.get('name', '')}:{settings}" if settings else str(spec.get("name", ""))
