"""The folder of a site: it is written beside its place, takes that place whole, and lists its files with their sums."""

from __future__ import annotations

import ctypes
import glob
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from filelock import FileLock, Timeout

from ...benchmark.store.listing import LISTING, read_listing, write_listing
from ...benchmark.store.sums import DamagedFile
from ...core.errors import UsageError

LOCK = ".lock"
CURRENT_FOLDER, EXCHANGE = -100, 2
"""`AT_FDCWD` and `RENAME_EXCHANGE` of Linux' `renameat2`."""


@contextmanager
def site_folder(out: str | Path) -> Iterator[Path]:
    """A new folder to write a site into; at the end it takes the place of `out`, with the files there that are of no site.

    Whoever is stopped leaves the former site or the new one, and what is left beside it goes with the next build.

    Args:
        out: The place of the site: a folder that does not exist, is empty, or holds a site with its list of files.

    Raises:
        UsageError: `out` holds something else, cannot be written, or is the current folder or one that it lies in.
    """
    out = _resolved(out)
    new = out.with_name(f".{out.name}.{uuid.uuid4().hex}.tmp")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        _remove_leftovers(out)
        listed = _listed_files(out)
        new.mkdir()
        with FileLock(new / LOCK):
            yield new
            names = sorted(path.relative_to(new).as_posix() for path in new.rglob("*") if path.is_file() and path.name != LOCK)
            _keep_other_files(out, new, listed, names)
            write_listing(new, names)
            (new / LOCK).unlink()
            _swap(new, out)
    except OSError as error:
        raise UsageError(
            f"cannot write {out}: {error.strerror or error}; choose another folder with --out, and copy the site with "
            "`flowgauge leaderboard publish`."
        ) from error
    finally:
        shutil.rmtree(new, ignore_errors=True)


def _resolved(out: str | Path) -> Path:
    """The place of a site without links.

    Raises:
        UsageError: It is a link in a circle, or the current folder or one around it, which a new folder cannot replace.
    """
    try:
        resolved = Path(out).expanduser().resolve()
    except (OSError, RuntimeError) as error:  # Python's word for links in a circle
        raise UsageError(f"cannot write {out}: {error}; choose another folder with --out.") from error
    if Path.cwd().is_relative_to(resolved):
        raise UsageError(f"a site takes the place of its folder, and {resolved} is in use: choose a folder below it with --out.")
    return resolved


def _listed_files(out: Path) -> set[str]:
    """The files of the site in a folder, by its list; none where there is no folder or nothing in it.

    Raises:
        UsageError: The path is a file, or the folder holds something other than a site with its list.
    """
    if not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return set()
    try:
        return {LISTING, *read_listing(out)}
    except DamagedFile as error:
        raise UsageError(
            f"{out} exists and has no {LISTING} that lists the files of a site, so that nothing in it may be replaced: choose "
            f"another folder with --out; `flowgauge leaderboard publish` copies a site from there into {out}."
        ) from error


def _keep_other_files(out: Path, new: Path, listed: set[str], names: list[str]) -> None:
    """Links the files of a folder that are of no site into the new site, with their folders.

    Raises:
        UsageError: A file of the new site would replace one of them.
    """
    if not out.exists():
        return
    if lost := next((name for name in names if name not in listed and os.path.lexists(out / name)), None):
        raise UsageError(f"{out / lost} is no file of the former site and would be replaced: move it, or choose another --out.")
    shutil.copytree(
        out, new, symlinks=True, dirs_exist_ok=True, copy_function=_link,
        ignore=lambda home, inside: {name for name in inside if (Path(home) / name).relative_to(out).as_posix() in listed},
    )  # fmt: skip
    for folder in sorted({parent.as_posix() for name in listed for parent in Path(name).parents}, reverse=True):
        with suppress(OSError):  # it holds files of the new site, or others
            (new / folder).rmdir()


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target, follow_symlinks=False)
    except OSError:  # a file system without links
        shutil.copy2(source, target, follow_symlinks=False)


def _former(out: Path) -> Path:
    """Where the former site waits for a moment on a system that cannot exchange two folders."""
    return out.with_name(f".{out.name}.former.tmp")


def _swap(new: Path, out: Path) -> None:
    """Puts a folder in the place of another, which is deleted."""
    if not out.exists():
        new.rename(out)
        return
    exchange = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None) if os.name == "posix" else None
    if exchange is None or exchange(CURRENT_FOLDER, os.fsencode(new), CURRENT_FOLDER, os.fsencode(out), EXCHANGE):
        out.rename(_former(out))
        try:
            new.rename(out)
        except BaseException:
            _former(out).rename(out)
            raise
        new = _former(out)
    shutil.rmtree(new)


def _remove_leftovers(out: Path) -> None:
    """Deletes what builds left that were stopped, but not what another build is writing."""
    if not out.exists() and _former(out).exists():
        _former(out).rename(out)
    for leftover in out.parent.glob(f".{glob.escape(out.name)}.*.tmp"):
        with suppress(Timeout), FileLock(leftover / LOCK, timeout=0):
            shutil.rmtree(leftover)
