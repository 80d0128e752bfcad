"""What `flowgauge show` prints: every table of a store as text, JSON or CSV."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from typing import Any, Literal

from ...benchmark.store.results import table as long_table
from ...benchmark.store.store import Store
from ...core.errors import UsageError
from ..stored.records import stored_records
from .columns import RANKED
from .paper_table import paper_tables
from .task_tables import task_tables
from .terminal import as_text

Format = Literal["text", "json", "csv"]


def render(store_url: str, format: Format = "text", width: int = 100) -> str:
    """The tables of a store as text for the terminal, as JSON, or as CSV.

    Args:
        store_url: The store.
        format: `text` and `json`: a ranked table for every task, then the table of the published paper (`paper_table`);
            `csv`: one row a stored aggregate, unranked.
        width: Columns of the terminal; of text only.

    Returns:
        The whole text, without a line feed at its end.

    Raises:
        UsageError: No such store, nothing in it, or an unknown format.
    """
    records = stored_records(store_url)
    if format == "csv":
        return str(long_table(records).to_csv(index=False)).rstrip("\n")
    tasks, papers = task_tables(Store(store_url), records), paper_tables(records)
    if format == "json":
        data = {
            "store": store_url,
            "ranked_by": "/".join(RANKED),
            "tasks": [asdict(table) for table in tasks],
            "paper": [asdict(table) for table in papers],
        }
        return json.dumps(_plain(data), indent=1)
    if format == "text":
        return as_text(tasks, papers, width)
    raise UsageError(f"tables come as text, json or csv, got {format!r}: choose one of these.")


def _plain(value: Any) -> Any:
    """NaN and infinities as null, for JSON has no numbers of that kind."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
