"""Which files of a cell are damaged, and how a run makes the cell ready to be computed again."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping

from .atomic_files import FileState
from .cell import RECORD, Cell
from .explanation_file import head
from .record import Record
from .sums import DamagedFile

log = logging.getLogger(__name__)
LEDGER = "ledger.jsonl"
"""The ledger of a board, in the store's folder."""


def find_damage(cell: Cell, there: Mapping[str, FileState] | None = None) -> dict[str, str]:
    """What is wrong with the files of a cell, by their names in it; empty where nothing is, or where it has no record.

    Args:
        cell: The cell, whose record was read.
        there: A listing of the store, by which files are held against the record's sizes; those that were changed after the
            record are read. None: every file on this machine is read.
    """
    if cell.listed is None:
        return {}
    listing = cell.files.below(cell.path) if there is None else there
    written = listing.get(f"{cell.path}/{RECORD}", FileState(0, None)).changed
    faults = {}
    for name in cell.listed.files:
        state = listing.get(f"{cell.path}/{name}")
        if state is None:
            if not (name.startswith("explanations/") and _lies_in_a_board(cell)):
                faults[name] = "is missing"
        elif state.size != cell.listed.sizes.get(name, state.size):
            faults[name] = f"has {state.size} bytes of {cell.listed.sizes[name]}"
        elif state.changed is not None and (there is None or written is None or state.changed > written):
            faults |= {} if _is_whole(cell, name) else {name: "is damaged"}
    if there is None:
        faults |= _repeating(cell, set(cell.part_names()) - faults.keys())
    return faults


def mend(cell: Cell) -> Record | None:
    """Deletes damaged files, and explanations that repeat those of other files, so that a run computes them again.

    The record no longer lists them from here on, so that no other process takes what is computed now for damage.

    Args:
        cell: The cell.

    Returns:
        Its record as it is now.
    """
    with cell.files.alone():
        cell.hold_against(None)
        record = cell.record()
        faults = find_damage(cell) | {name: "is damaged" for name in cell.names() if not _is_whole(cell, name)}
        faults |= _repeating(cell, set(cell.part_names()) - faults.keys())
        if faults:
            first = next(iter(faults))
            log.warning("%s/%s %s: %d of its files are computed again.", cell.path, first, faults[first], len(faults))
        for name in faults:
            if cell.files.fs.exists(f"{cell.path}/{name}"):
                cell.files.remove(f"{cell.path}/{name}")
        if record is not None and faults:
            lost = {name.removeprefix("scores/").removesuffix(".parquet") for name in faults}
            record = record.model_copy(
                update={
                    "status": "partial",
                    "error": "some of its files were damaged: the same run computes them again.",
                    "files": {name: total for name, total in record.files.items() if name not in faults},
                    "sizes": {name: size for name, size in record.sizes.items() if name not in faults},
                    "scores": {name: score for name, score in record.scores.items() if name not in lost},
                }
            )
            cell.write_record(record)
        cell.hold_against(record)
    return record


def _repeating(cell: Cell, names: Iterable[str]) -> dict[str, str]:
    """Files of explanations, among some of the cell's, that hold an instance which one before them holds too."""
    faults, instances = {}, set[str]()
    for name, header in cell.headers(sorted(name for name in names if name.startswith("explanations/"))):
        ids = {sentence.id for sentence in header.sentences}
        if ids & instances:
            faults[name] = "repeats instances of other files"
        else:
            instances |= ids
    return faults


def _lies_in_a_board(cell: Cell) -> bool:
    """Whether the store is a board, which may keep fewer explanations than its records list."""
    return bool(cell.files.fs.exists(f"{cell.files.root}/{LEDGER}"))


def _is_whole(cell: Cell, name: str) -> bool:
    """Whether a file can be read: it has the sum that the record lists, or is decoded; explanations are decoded in any case."""
    try:
        data = cell.whole(name)
        if name.startswith("explanations/"):
            head(data, name)
        elif cell.listed is None or not cell.listed.files.get(name):
            cell.rows(name.removeprefix("scores/").removesuffix(".parquet"))
    except DamagedFile:
        return False
    return True
