"""A store of cells, on disk or in a bucket; every file appears whole or not at all.

<store>/<model>/<task>/<method>-<12 hex>/
    record.json                            written last
    explanations/00064.safetensors         one a batch, named after the index of its first instance
    scores/<metric>@<version>.parquet      one row an (instance, variant, draw)
"""

from __future__ import annotations

import uuid

from ...core.errors import UsageError
from .atomic_files import Files
from .cell import RECORD, Cell, safe_name
from .record import Record

__all__ = ["Cell", "Store", "safe_name"]


class Store:
    """A folder of cells.

    Args:
        url: A path or any fsspec URL (`s3://bucket/results`, `memory://x`).
    """

    def __init__(self, url: str) -> None:
        self.url, self.files = url, Files(url)

    def cell(self, model: str, task: str, folder: str) -> Cell:
        """The cell of a model and a task in `<method>-<12 hex>`; it need not exist yet."""
        return Cell(self.files, f"{self.files.root}/{safe_name(model)}/{safe_name(task)}/{safe_name(folder).replace('/', '_')}")

    def cells(self) -> list[Cell]:
        """Every cell with a record, in the order of their paths.

        Raises:
            UsageError: There is no such store.
        """
        if not self.files.fs.isdir(self.files.root):
            raise UsageError(f"there is no store at {self.url!r}; `flowgauge run ... --store {self.url}` creates one.")
        return [
            Cell(self.files, path.rpartition("/")[0]) for path in self.files.below(self.files.root) if path.endswith(f"/{RECORD}")
        ]

    def records(self) -> list[Record]:
        """The record of every cell."""
        return [record for cell in self.cells() if (record := cell.record()) is not None]

    def find(self, record: Record) -> Cell:
        """The cell a record belongs to."""
        return self.cell(record.model, record.task, record.folder)

    def check_writable(self) -> None:
        """Creates the store's folder, and writes and deletes a file in it.

        Raises:
            UsageError: The folder cannot be written.
        """
        probe = f"{self.files.root}/.writable-{uuid.uuid4().hex}"
        self.files.write(probe, b"")
        self.files.remove(probe)
