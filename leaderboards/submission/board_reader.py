"""Several stores read as one board: its records, where their cells are, and how far each is trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...benchmark.store.record import Record
from ...benchmark.store.store import Cell, Store
from ..stored.records import stored_records
from .board import name_of
from .ledger import read_ledger, trusted
from .trust import Trust


@dataclass(frozen=True, eq=False)
class BoardReader:
    """The cells of one or several stores, read as one board.

    Attributes:
        records: Each once; where two stores have a cell, the first store's.
        homes: The store of each record, by `<model>/<task>/<cell>`.
        levels: Trust of cells as the ledgers state it, by the same name.
    """

    records: tuple[Record, ...]
    homes: dict[str, Store]
    levels: dict[str, Trust]

    def find(self, record: Record) -> Cell:
        """The cell a record belongs to."""
        return self.homes[name_of(record)].find(record)

    def trust(self, record: Record) -> Trust:
        """What a record's rows may show: self-reported, unless the ledger of its store says more."""
        return self.levels.get(name_of(record), "self-reported")


def open_board(urls: Sequence[str]) -> BoardReader:
    """Reads the cells of several stores as one board.

    Args:
        urls: The stores; where two have the same cell, the first one's counts.

    Raises:
        UsageError: A store is missing or empty.
        FlowgaugeError: The ledger of a store is damaged.
    """
    records: list[Record] = []
    homes: dict[str, Store] = {}
    levels: dict[str, Trust] = {}
    for url in urls:
        store, known = Store(url), stored_records(url)
        ledger = trusted(read_ledger(store))
        for record in known:
            name = name_of(record)
            if name not in homes:
                homes[name] = store
                records.append(record)
                levels |= {name: ledger[name]} if name in ledger else {}
    return BoardReader(tuple(records), homes, levels)
