"""Holds every file of a board against its ledger."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath

from pydantic import ValidationError

from ...benchmark.store.cell import RECORD, Cell, safe_name
from ...benchmark.store.damage import LEDGER
from ...benchmark.store.record import TrainingRecord
from ...benchmark.store.store import Store
from ...benchmark.store.sums import DamagedFile
from ...core.errors import FlowgaugeError, UsageError
from .board import name_of
from .bundle import FIT
from .ledger import HEAD, Event, LedgerHead, add_event, ledger_head, read_ledger, trusted
from .trust import Trust


@dataclass(frozen=True)
class BoardCheck:
    """What a check of a board found.

    Attributes:
        head: The head of its ledger, to be kept elsewhere.
        files: The number of files that were held against the ledger.
        problems: What does not agree with the ledger, one line each.
        uncovered: Cells whose record has no sum in the ledger, because they entered with flowgauge 0.1.
    """

    head: LedgerHead
    files: int
    problems: tuple[str, ...]
    uncovered: tuple[str, ...]


@dataclass
class _ListedFiles:
    """What the ledger and the records that it vouches for say of the files of a board.

    Attributes:
        sums: Sha256 by path below the board.
        left_out: Paths that a board may lack: explanations that it does not keep.
        unknown: Folders whose record is not the one that entered, so that nothing can be said of their other files.
        uncovered: Cells whose record has no sum in the ledger.
        problems: What is wrong with records.
    """

    sums: dict[str, str] = field(default_factory=dict)
    left_out: set[str] = field(default_factory=set)
    unknown: list[str] = field(default_factory=list)
    uncovered: list[str] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)


def check_board(url: str, head: LedgerHead | None = None) -> BoardCheck:
    """Holds every file of a board against its ledger: records and trainings against events, all other files against these.

    Args:
        url: The board.
        head: A head of its ledger that was kept elsewhere. Without one, nobody can tell that the last events were cut off, if
            their cells and the head beside the ledger were changed too.

    Raises:
        UsageError: No such store, or it has no ledger.
        FlowgaugeError: The ledger is damaged, or does not lead to its head.
    """
    board, (events, now) = Store(url), _ledger(url, head)
    root = f"{board.files.root}/"
    there = {path.removeprefix(root) for path in board.files.below(board.files.root)} - {LEDGER, HEAD}
    there = {name for name in there if not PurePosixPath(name).name.startswith(".")}
    listed = _listed_files(board, events, there)
    problems = listed.problems
    for name in sorted(there):
        if name not in listed.sums:
            if not name.startswith(tuple(f"{folder}/" for folder in listed.unknown)):
                problems.append(f"{name}: neither the ledger nor a record that it vouches for has this file.")
        elif _sum_of(board, root + name) != listed.sums[name]:
            problems.append(f"{name}: its sha256 is not the one that entered.")
    problems += [f"{name}: it is missing." for name in sorted(listed.sums.keys() - there - listed.left_out)]
    return BoardCheck(now, len(there), tuple(problems), tuple(listed.uncovered))


def note_sums(url: str, why: str, who: str = "") -> list[Event]:
    """Notes in the ledger the sums of cells that entered with flowgauge 0.1, one event a level of trust and what is kept.

    Args:
        url: The board.
        why: The reason, for everyone to read.
        who: Whoever vouches for the files as they are now.

    Raises:
        UsageError: No reason, no ledger, or every cell has its sum there.
        FlowgaugeError: The board does not agree with its ledger or with its records.
    """
    checked = check_board(url)
    if not why.strip():
        raise UsageError("say why the sums of the board's files are to be trusted: --why '...'.")
    if not checked.uncovered:
        raise UsageError(f"the ledger of {url!r} has the sums of all cells already.")
    if checked.problems:
        raise FlowgaugeError(f"{url!r} does not agree with its ledger: {checked.problems[0]} ({len(checked.problems)} problems)")
    board, (events, _) = Store(url), _ledger(url)
    levels, noted = trusted(events), noted_sums(events)
    groups: dict[tuple[Trust, int | None], dict[str, str]] = {}
    for name in checked.uncovered:
        cell = _cell(board, name)
        groups.setdefault((levels[name], _kept(cell)), {})[name] = f"{safe_name(name)}/{RECORD}"
    trainings = [
        name
        for path in board.files.below(f"{board.files.root}/fits")
        if (name := path.removeprefix(f"{board.files.root}/")).endswith(f"/{FIT[0]}") and name not in noted
    ]
    added = []
    for (trust, kept), records in groups.items():
        sums = {name: _sum_of(board, f"{board.files.root}/{name}") or ""
                for name in (*records.values(), *trainings)}  # fmt: skip
        added.append(add_event(board, "noted", list(records), trust, who=who, why=why, sums=sums, explanations=kept))
        trainings = []
    return added


def _ledger(url: str, head: LedgerHead | None = None) -> tuple[list[Event], LedgerHead]:
    board = Store(url)
    board.cells()
    events, now = read_ledger(board, head), ledger_head(board)
    if now is None:
        raise UsageError(f"{url!r} has no ledger to check it against: `flowgauge leaderboard merge BUNDLE {url}` starts one.")
    return events, now


def _cell(board: Store, name: str) -> Cell:
    """The cell of a name in the ledger."""
    return Cell(board.files, f"{board.files.root}/{safe_name(name)}")


def noted_sums(events: Sequence[Event]) -> dict[str, str]:
    """Sums in a ledger by path below the board, of cells that are on it and of trainings.

    Args:
        events: Oldest first.
    """
    noted: dict[str, str] = {}
    for event in events:
        noted |= event.sums
        if event.action == "left":
            for cell in event.cells:
                noted.pop(f"{safe_name(cell)}/{RECORD}", None)
    return noted


def _listed_files(board: Store, events: Sequence[Event], there: set[str]) -> _ListedFiles:
    listed, noted = _ListedFiles(), noted_sums(events)
    kept = {cell: event.explanations for event in events if event.action in ("entered", "noted") for cell in event.cells}
    for name in trusted(events):
        folder = safe_name(name)
        path = f"{folder}/{RECORD}"
        if path not in noted:
            listed.uncovered.append(name)
        _list_cell(board, name, noted.get(path), kept.get(name), listed)
    for path in sorted(path for path in there | noted.keys() if path.startswith("fits/") and path.endswith(f"/{FIT[0]}")):
        if path in noted or listed.uncovered:
            _list_training(board, path, noted.get(path), listed)
    return listed


def _list_training(board: Store, path: str, total: str | None, listed: _ListedFiles) -> None:
    """Lists the files of one training, whose record has the sum `total`, or none in the ledger."""
    there = _sum_of(board, f"{board.files.root}/{path}") or ""
    listed.sums[path] = total or there
    try:
        training = TrainingRecord.model_validate_json(board.files.read(f"{board.files.root}/{path}") or b"")
    except (ValidationError, DamagedFile):
        training = None
    if training is None or there != listed.sums[path]:
        listed.unknown.append(path.rpartition("/")[0])
    else:
        listed.sums[path.removesuffix(FIT[0]) + FIT[1]] = training.weights


def _sum_of(board: Store, path: str) -> str | None:
    """Sha256 of a file; empty where the file says itself that it is damaged, and None where there is none."""
    try:
        data = board.files.read(path)
    except DamagedFile:
        return ""
    return None if data is None else hashlib.sha256(data).hexdigest()


def _list_cell(board: Store, name: str, total: str | None, explanations: int | None, listed: _ListedFiles) -> None:
    """Lists the files of one cell, whose record has the sum `total`, or none in the ledger."""
    folder, cell = safe_name(name), _cell(board, name)
    there = _sum_of(board, f"{cell.path}/{RECORD}")
    record = cell.record() if there is not None and total in (None, there) else None
    if record is None or name_of(record) != name:
        listed.unknown.append(folder)
        if there is None or total in (None, there):
            listed.problems.append(f"{folder}/{RECORD}: it is missing, cannot be read, or is the record of another cell.")
        else:
            listed.sums[f"{folder}/{RECORD}"] = total or ""
        return
    listed.sums |= {f"{folder}/{RECORD}": there or "", **{f"{folder}/{file}": s for file, s in record.files.items()}}
    # A board of flowgauge 0.1 does not say which explanations it keeps.
    listed.left_out |= {
        f"{folder}/{file}"
        for file in record.files
        if file.startswith("explanations/") and (total is None or (explanations is not None and _start(file) >= explanations))
    }


def _start(file: str) -> int:
    """The index of the first instance of a file of explanations."""
    stem = PurePosixPath(file).stem
    return int(stem) if stem.isdecimal() else 0


def _kept(cell: Cell) -> int | None:
    """Of how many instances a cell has explanations: None for all.

    Raises:
        FlowgaugeError: A file between others is missing.
    """
    record = cell.record()
    there = set(cell.part_names())
    missing = (
        sorted(_start(file) for file in record.files if file.startswith("explanations/") and file not in there) if record else []
    )
    if missing and any(_start(file) > missing[0] for file in there):
        raise FlowgaugeError(f"{cell.path}: explanations from instance {missing[0]} on are missing, but later ones are there.")
    return missing[0] if missing else None
