"""The records of a store, for whoever tabulates or draws them."""

from __future__ import annotations

from ...benchmark.store.record import Record
from ...benchmark.store.store import Store
from ...core.errors import UsageError


def stored_records(store_url: str) -> list[Record]:
    """Every record of a store but those of methods that no run named, which only set the budget of a metric.

    Raises:
        UsageError: There is no store, or it is empty.
    """
    records = [record for record in Store(store_url).records() if not record.reference_only]
    if not records:
        raise UsageError(f"the store {store_url!r} has no results yet; `flowgauge run ... --store {store_url}` adds some.")
    return records
