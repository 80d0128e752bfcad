"""Several stores read as one board: its records, where their cells are, and how far each is trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ...benchmark.store.record import Record
from ...benchmark.store.store import Cell, Store
from ..stored.records import stored_records
from .board import name_of
from .ledger import LedgerHead, ledger_head, read_ledger, stated_order, trusted
from .trust import Trust


@dataclass(frozen=True, eq=False)
class BoardReader:
    """The cells of one or several stores, read as one board.

    Attributes:
        records: Each once; where two stores have a cell, the first store's.
        homes: The store of each record, by `<model>/<task>/<cell>`.
        levels: Trust of cells as the ledgers state it, by the same name.
        order: Metrics that order the board by the instances of a task, from the first ledger that states them; empty: none does.
        heads: The head of each store's ledger, by URL; stores without a ledger are missing.
    """

    records: tuple[Record, ...]
    homes: dict[str, Store]
    levels: dict[str, Trust]
    order: dict[str, tuple[str, ...]]
    heads: dict[str, LedgerHead]

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
    order: dict[str, tuple[str, ...]] = {}
    heads: dict[str, LedgerHead] = {}
    for url in urls:
        store, known = Store(url), stored_records(url)
        events = read_ledger(store)
        ledger, order, head = trusted(events), order or stated_order(events), ledger_head(store)
        heads |= {} if head is None else {url: head}
        for record in known:
            name = name_of(record)
            if name not in homes:
                homes[name] = store
                records.append(record)
                levels |= {name: ledger[name]} if name in ledger else {}
    return BoardReader(tuple(records), homes, levels, order, heads)
