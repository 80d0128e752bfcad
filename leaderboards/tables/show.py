"""What `flowgauge show` prints: every table of a store as text, JSON or CSV."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any, Literal

from ...benchmark.store.record import Record
from ...benchmark.store.results import table as long_table
from ...core.errors import UsageError
from ..stored.records import stored_records
from .columns import RANKED
from .task_tables import paper_tables, task_tables
from .terminal import as_text

Format = Literal["text", "json", "csv"]


def render(store_url: str, format: Format = "text", width: int = 100) -> str:
    """The tables of a store as text for the terminal, as JSON, or as CSV (long: one row an aggregate).

    Raises:
        UsageError: No such store, nothing in it, or an unknown format.
    """
    records = stored_records(store_url)
    if format == "csv":
        return str(long_table(records).to_csv(index=False)).rstrip("\n")
    if format == "json":
        return json.dumps(_plain(as_data(records, store_url)), indent=1)
    if format == "text":
        return as_text(task_tables(records), paper_tables(records), width)
    raise UsageError(f"tables come as text, json or csv, got {format!r}.")


def as_data(records: Sequence[Record], store_url: str = "") -> dict[str, Any]:
    """Everything that `render` shows, as plain values; NaN where a number is missing."""
    return {
        "store": store_url,
        "ranked_by": "/".join(RANKED),
        "tasks": [asdict(table) for table in task_tables(records)],
        "paper": [asdict(table) for table in paper_tables(records)],
    }


def _plain(value: Any) -> Any:
    """NaN and infinities as null, which JSON has instead."""
    if isinstance(value, dict):
        return {key: _plain(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(one) for one in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
