"""Replaces intervals of version 0.1 on a board by today's, with an event in its ledger."""

from __future__ import annotations

import hashlib

from ...benchmark.store.cell import Cell
from ...benchmark.store.mending import metric_spec
from ...benchmark.store.record import Record
from ...benchmark.store.renewal import Renewal, count_old, is_old, renewable
from ...benchmark.store.store import Store
from ...core.errors import FlowgaugeError, UsageError
from .board import name_of, record_sums
from .check_board import noted_sums
from .ledger import add_event, read_ledger, trusted
from .trust import Trust

WHY = "intervals of version 0.1 replaced by today's"


def renew_board(url: str, why: str = "", who: str = "") -> Renewal:
    """Writes today's intervals into the records of a board. Each cell keeps its level of trust, and its other files stay.

    The ledger comes first: after a stop, the same command writes the records that the last event speaks of.

    Args:
        url: The board.
        why: Reason in words, for the ledger.
        who: Whoever renews them.

    Returns:
        What was written, and the metrics that have to be computed anew.

    Raises:
        UsageError: No such board, or it has no ledger.
        FlowgaugeError: The ledger is damaged, or a record is not the one that entered.
    """
    board = Store(url)
    events = read_ledger(board)
    noted, levels = noted_sums(events), trusted(events)
    writing, left, scores = list[tuple[Cell, Record]](), dict[str, None](), 0
    sums_of_level: dict[Trust, dict[str, dict[str, str]]] = {}
    for stored in board.records():
        written, cell = renewable(board.find(stored), stored), board.find(stored)
        left |= {metric_spec(score): None for score in written.scores.values() if is_old(score)}
        if written is stored:
            continue
        writing.append((cell, written))
        scores += count_old(stored) - count_old(written)
        ((path, there),) = record_sums(board, [stored]).items()
        known, total = noted.get(path), hashlib.sha256(written.to_bytes()).hexdigest()
        if known not in (None, there, total):
            raise FlowgaugeError(f"{path} is not the record that entered: `flowgauge leaderboard check {url}` says more.")
        if known != total:  # a cell that entered with version 0.1 has no sum there, and gets none from being renewed
            of_level = sums_of_level.setdefault(levels.get(name_of(stored), "self-reported"), {})
            of_level[name_of(stored)] = {} if known is None else {path: total}
    if writing and not events:
        raise UsageError(f"{url!r} has no ledger: `flowgauge score {url}` renews the intervals of a store that is no board.")
    for level, sums in sums_of_level.items():
        together = {path: total for each in sums.values() for path, total in each.items()}
        add_event(board, "re-scored", list(sums), level, who=who, why=why or WHY, sums=together)
    for cell, written in writing:
        cell.write_record(written)
    return Renewal(scores, len(writing), tuple(left))
