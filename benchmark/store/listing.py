"""The list of a folder's files with their sums, which is written last, so that a folder that was cut or damaged is noticed."""

from __future__ import annotations

import json
from pathlib import Path

from .atomic_files import write_file
from .sums import DamagedFile, check, file_sum, sealed_json

LISTING = "files.json"
"""The name of the list in its folder."""


def folder_sums(folder: Path) -> dict[str, str]:
    """Sha256 of every plain file below a folder but its listing, by path below it; links are not followed."""
    files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
    return {name: file_sum(path) for path in files if (name := path.relative_to(folder).as_posix()) != LISTING}


def write_listing(folder: Path) -> None:
    """Lists the sums of all files of a folder in it, as the last file that is written there."""
    write_file(folder / LISTING, sealed_json(json.dumps({"files": folder_sums(folder)}, indent=1)))


def read_listing(folder: Path) -> dict[str, str]:
    """The sums of a folder's files by their paths, as `write_listing` noted them.

    Raises:
        DamagedFile: There is no listing, or it is damaged.
    """
    path = folder / LISTING
    try:
        data = path.read_bytes()
        check(data, str(path))
        files: dict[str, str] = {str(name): str(total) for name, total in json.loads(data)["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DamagedFile(f"{folder} has no whole list of its files ({LISTING}).") from error
    return files


def check_listing(folder: Path) -> dict[str, str]:
    """The same sums, after every listed file was held against its own; files that are not listed do not matter.

    Raises:
        DamagedFile: Names the first file that is missing or differs.
    """
    files = read_listing(folder)
    for name, total in files.items():
        path = folder / name
        if not path.is_file() or path.is_symlink():
            raise DamagedFile(f"{path} is missing.")
        if file_sum(path) != total:
            raise DamagedFile(f"{path} is damaged: its sha256 is not the one that was recorded.")
    return files
