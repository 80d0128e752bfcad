"""The list of a folder's files with their sums, which is written last, so that a folder that was cut or damaged is noticed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from ...core.errors import quoted
from ...core.text_files import lies_inside, parse_json
from .atomic_files import write_file
from .sums import DamagedFile, file_sum

LISTING = "files.json"
"""The name of the list in its folder: sha256 by path. The list itself is not in it."""


def folder_sums(folder: Path, names: Iterable[str] | None = None) -> dict[str, str]:
    """Sha256 of files of a folder by their paths below it.

    Args:
        folder: The folder.
        names: Paths below it; None: every plain file but the list, where links are not followed.
    """
    if names is None:
        files = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
        names = [path.relative_to(folder).as_posix() for path in files]
    return {name: file_sum(folder / name) for name in names if name != LISTING}


def write_listing(folder: Path, names: Iterable[str] | None = None) -> None:
    """Lists files of a folder in it, with their sums; the arguments are those of `folder_sums`."""
    write_file(folder / LISTING, json.dumps(folder_sums(folder, names), indent=1))


def read_listing(folder: Path) -> dict[str, str]:
    """The sums of a folder's files by their paths, as `write_listing` noted them.

    Raises:
        DamagedFile: There is no list, it cannot be read, or it names a file outside the folder.
    """
    try:
        listed = parse_json((folder / LISTING).read_bytes())
    except (OSError, ValueError, RecursionError):
        listed = None
    if not isinstance(listed, dict):
        raise DamagedFile(f"{folder} has no whole list of its files ({LISTING}).")
    if outside := next((name for name in listed if not lies_inside(name)), None):
        raise DamagedFile(f"{folder / LISTING} names {quoted(outside, 200)}, which lies outside the folder.")
    return listed


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
