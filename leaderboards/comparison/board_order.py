"""The metrics that order a board, as its maintainers state them in the ledger."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from ...benchmark.store.store import Store
from ...core.errors import UnknownName, UsageError
from ..submission.board_reader import open_board
from ..submission.ledger import Event, add_event
from .model_boards import model_boards
from .task_boards import read_task_boards


def state_order(url: str, metrics: Sequence[str] = (), tasks: Sequence[str] = (), *, why: str, who: str = "") -> Event:
    """Notes in a board's ledger which metrics order it, on which instances, whatever enters later.

    Args:
        url: The board.
        metrics: Plain names; none: those that order it now.
        tasks: Names; none: every task on which such a metric has a ranked table, on the instances that order it now.
        why: The reason, for everyone to read.
        who: Whoever states it.

    Returns:
        The event as it stands in the ledger.

    Raises:
        UsageError: No reason, no such metric or task, a metric of which neither end is better, or a store without a ledger.
    """
    reader = open_board([url])
    if not why.strip():
        raise UsageError("say why the board is ordered so: --why '...'.")
    if not reader.heads:
        raise UsageError(f"{url!r} has no ledger: `flowgauge leaderboard merge BUNDLE {url}` starts one.")
    boards = model_boards(read_task_boards(reader))
    _check_names("ranked metric on this board", metrics, {t.comparison.metric for board in boards for t in board.tables})
    _check_names("task on this board", tasks, {t.comparison.group.task for board in boards for t in board.tables})
    order: dict[str, tuple[str, ...]] = {}
    for board in boards:
        for table, counts in zip(board.tables, board.default, strict=True):
            group, metric = table.comparison.group, table.comparison.metric
            if (metric in metrics if metrics else counts) and (not tasks or group.task in tasks):
                order[group.name] = (*order.get(group.name, ()), metric)
    if not order:
        raise UsageError(f"no metric orders {url!r}: name some with --metric.")
    return add_event(Store(url), "ordered", [], "self-reported", who=who, why=why, order=order)


def _check_names(kind: str, names: Sequence[str], known: Collection[str]) -> None:
    for name in names:
        if name not in known:
            raise UnknownName(kind, name, known)
