"""A store of cells, on disk or in a bucket; every file appears whole or not at all.

<store>/<model>/<task>/<method>-<12 hex>/
    record.json                            written last
    explanations/00064.safetensors         one a batch, named after the index of its first instance
    scores/<metric>@<version>.parquet      one row an (instance, variant, draw)
"""

from __future__ import annotations

import logging

from ...core.errors import UsageError
from .atomic_files import Files, FileState
from .cell import RECORD, Cell, safe_folder, safe_name
from .damage import find_damage
from .record import Record

__all__ = ["Cell", "Store", "safe_name"]


log = logging.getLogger(__name__)


class Store:
    """A folder of cells.

    Args:
        url: A path or any fsspec URL (`s3://bucket/results`, `memory://x`).
        seals: Whether files are held against their seals when they are read; a bundle's manifest has the sums of its files.
    """

    def __init__(self, url: str, seals: bool = True) -> None:
        self.url, self.files = url, Files(url, seals)

    def cell(self, model: str, task: str, folder: str) -> Cell:
        """The cell of a model and a task in `<method>-<12 hex>`; it need not exist yet."""
        return Cell(self.files, f"{self.files.root}/{safe_name(model)}/{safe_name(task)}/{safe_folder(folder)}")

    def cells(self) -> list[Cell]:
        """Every cell with a record, in the order of their paths.

        Raises:
            UsageError: There is no such store.
        """
        return [Cell(self.files, path.rpartition("/")[0]) for path in self._listing() if path.endswith(f"/{RECORD}")]

    def _listing(self) -> dict[str, FileState]:
        if not self.files.fs.isdir(self.files.root):
            raise UsageError(f"there is no store at {self.url!r}; `flowgauge run ... --store {self.url}` creates one.")
        return self.files.below(self.files.root)

    def records(self) -> list[Record]:
        """The record of every cell; a warning names the files that are damaged, and the command that mends them."""
        there, records = self._listing(), []
        for path in there:
            cell = Cell(self.files, path.rpartition("/")[0])
            record = cell.record() if path.endswith(f"/{RECORD}") else None
            if record is None:
                continue
            records.append(record)
            faults = find_damage(cell, there)
            if faults:
                first, more = next(iter(faults)), f", and {len(faults) - 1} more" if len(faults) > 1 else ""
                log.warning("%s/%s %s%s. %s", cell.path, first, faults[first], more, cell.remedy)
        return records

    def find(self, record: Record) -> Cell:
        """The cell a record belongs to."""
        return Cell(self.files, self.cell(record.model, record.task, record.folder).path, record)
