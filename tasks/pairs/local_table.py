"""Tables of published pairs that are not on the Hub and not packaged: whoever has the file names its folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ...core.errors import UsageError
from ..file_rows import read_table
from ..published_data import DATA_DIR, data_folder, first_file
from ..table import FileRow


@dataclass(frozen=True)
class LocalTable:
    """A table that is read from the data folder alone.

    Attributes:
        stems: Its names in the folder without an ending, the one that a user is told of first.
        columns: The columns that it must have.
        home: Where the data are, and how the table is made of them.
    """

    stems: tuple[str, ...]
    columns: tuple[str, ...]
    home: str

    def source(self, data_dir: str | Path | None) -> str:
        """The file that is read, for records; says so where there is none."""
        folder = data_folder(data_dir)
        if folder is None:
            return "data folder (none given)"
        path = first_file(folder, self.stems)
        return f"data folder: {path.relative_to(folder).as_posix() if path else 'nothing found'}"

    def read(self, task: str, data_dir: str | Path | None) -> tuple[Path, Sequence[FileRow]]:
        """The file and its rows.

        Args:
            task: Name of the task, for messages.
            data_dir: The data folder; None: that of the environment variable.

        Raises:
            UsageError: No folder, no file in it, or one that lacks a column; the text says what to put where.
        """
        folder, wanted = data_folder(data_dir), f"{self.stems[0]}.tsv (columns {', '.join(self.columns)}; from {self.home})"
        if folder is None:
            raise UsageError(
                f"task {task!r} is not on the Hub: put {wanted} into a folder and name it with --data-dir DIR "
                f"(or {DATA_DIR}=DIR)."
            )
        path = first_file(folder, self.stems)
        if path is None:
            raise UsageError(f"task {task!r} finds no {self.stems[0]}.* in {folder}: put {wanted} there.")
        table = read_table(path)
        absent = [column for column in self.columns if column not in table.columns]
        if absent:
            raise UsageError(f"{path}, line 1: no column {' or '.join(absent)}; it has {', '.join(table.columns)}.")
        return path, table.rows
