"""Files that appear whole or not at all, on disk or in a bucket.

On disk, a file is written under a temporary name, flushed and renamed. The name of a temporary file says which process writes
it, so that those of killed processes can be deleted and those of others are left alone. In a bucket, a file is one PUT.
"""

from __future__ import annotations

import errno
import hashlib
import os
import platform
import re
import stat
import tempfile
import time
import uuid
from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import Any, NamedTuple

import fsspec
from filelock import FileLock

from ...core.errors import FlowgaugeError, UsageError
from .sums import check

OLD = 3600.0
"""Age from which on a temporary file of an unknown process is taken for one that nobody writes any more (s)."""
HOST = re.sub(r"[^A-Za-z0-9_-]", "_", platform.node())[:40]
TEMPORARY = re.compile(rf"\..*\.{re.escape(HOST)}\.(\d+)\.[0-9a-f]{{8}}\.tmp")
"""Names of the temporary files of this machine, with the number of the process."""
ATTEMPTS = 5
CONFLICT = (409, 412)
"""Answers of a bucket where a file is there already, or where another request for it runs: s3fs does not know all of them."""


class FileState(NamedTuple):
    """What a listing says of a file.

    Attributes:
        size: Its bytes.
        changed: Time of its last change (s); None where the file system does not tell.
    """

    size: int
    changed: float | None


def write_file(path: Path, data: bytes | str, *, replace: bool = True) -> None:
    """Writes a file on this machine under a temporary name, flushes it to the disk and renames it; folders are created.

    Args:
        path: The file.
        data: Its bytes, or its text.
        replace: False: a file that is there already stays.

    Raises:
        FileExistsError: There is such a file, and it was not to be replaced.
        OSError: The file cannot be written; nothing is left of it.
    """
    data = data.encode() if isinstance(data, str) else data
    for attempt in range(1, ATTEMPTS + 1):
        temporary = path.with_name(f".{path.name[:120]}.{HOST}.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp")
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            _put(temporary, path, replace)
            return
        except FileNotFoundError:  # another process removed the temporary file or the folder
            if attempt == ATTEMPTS:
                raise
        finally:
            with suppress(OSError):
                temporary.unlink()


def write_between(page: Path, begin: str, text: str, end: str = "<!-- end -->") -> None:
    """Replaces what stands between a mark of a page and the next end mark.

    Args:
        page: A text file in which the first mark stands once.
        begin: The first mark.
        text: What is to stand there, between blank lines.
        end: The end mark.
    """
    before, rest = page.read_text(encoding="utf-8").split(begin)
    write_file(page, f"{before}{begin}\n\n{text}\n\n{end}{rest.split(end, 1)[1]}")


def has_ended(process: int) -> bool:
    """Whether a process of this machine runs no more; False where the system does not say."""
    if os.name != "posix":
        return False
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        pass
    return False


def _put(temporary: Path, path: Path, replace: bool) -> None:
    if not replace:
        try:
            os.link(temporary, path)
            return
        except (FileExistsError, FileNotFoundError):
            raise
        except OSError:  # a file system without hard links: two processes may replace each other's file, which is as whole
            if path.exists():
                raise FileExistsError(path) from None
    os.replace(temporary, path)


def _http_status(error: BaseException) -> int | None:
    """What a bucket answered, if an error comes from such an answer."""
    response = getattr(error.__cause__, "response", None)
    status = response.get("ResponseMetadata", {}).get("HTTPStatusCode") if isinstance(response, dict) else None
    return None if status is None else int(status)


def sweep(folder: str) -> None:
    """Deletes those temporary files of a folder on this machine that nobody writes: of ended processes, or old ones."""
    with suppress(FileNotFoundError, NotADirectoryError), os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.startswith(".") and entry.name.endswith(".tmp") and _is_abandoned(entry):
                with suppress(FileNotFoundError):
                    os.unlink(entry.path)


def _is_abandoned(entry: os.DirEntry[str]) -> bool:
    match = TEMPORARY.fullmatch(entry.name)
    if match and has_ended(int(match[1])):
        return True
    try:
        return time.time() - entry.stat(follow_symlinks=False).st_mtime > OLD
    except FileNotFoundError:
        return False


def _walk(folder: str) -> Iterator[tuple[str, FileState]]:
    waiting = [folder]
    while waiting:
        current = waiting.pop()
        with suppress(FileNotFoundError, NotADirectoryError), os.scandir(current) as entries:
            for entry in entries:
                path = f"{current}/{entry.name}"  # with a slash on every system, as fsspec names files
                if entry.is_dir(follow_symlinks=False):
                    waiting.append(path)
                elif os.path.isfile(path):  # unlike the entry's own method, False for a link that leads to itself
                    info = entry.stat()
                    yield path, FileState(info.st_size, info.st_mtime)


class Files:
    """A folder of files, on disk or in a bucket.

    Args:
        url: A path or any fsspec URL (`s3://bucket/results`, `memory://x`).
        seals: Whether files are held against their seals when they are read.

    Attributes:
        root: The folder as its file system names it.
        local: Whether it is on this machine.

    Raises:
        UsageError: The URL cannot be opened.
    """

    def __init__(self, url: str, seals: bool = True) -> None:
        self.url, self.seals = url, seals
        try:
            self.fs, root = fsspec.core.url_to_fs(os.path.expanduser(url) if "://" not in url else url)
        except (ImportError, ValueError, OSError) as error:
            raise UsageError(f"cannot open the store {url!r}: {error}; name a folder or an fsspec URL.") from error
        self.root: str = root.rstrip("/")
        self.local = "file" in self.fs.protocol

    def read(self, path: str, sha256: str = "") -> bytes | None:
        """A file's bytes, held against its seal and its sum; None where there is no such file.

        Args:
            path: The file, as the file system names it.
            sha256: The sum that a record or a manifest lists; empty: none is known.

        Raises:
            DamagedFile: The bytes are others than those that were written.
            FlowgaugeError: It cannot be read, or is a pipe, a device or a folder.
        """
        try:
            if self.local and not stat.S_ISREG(os.stat(path).st_mode):  # opening a pipe would wait for ever
                raise FlowgaugeError(f"cannot read {path}: it is not a plain file.")
            data: bytes = Path(path).read_bytes() if self.local else self.fs.cat_file(path)  # faster than fsspec
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise FlowgaugeError(f"cannot read {path}: {error.strerror or error}.") from error
        check(data, path, sha256, self.seals)
        return data

    def write(self, path: str, data: bytes, *, replace: bool = True) -> str:
        """Writes a file so that no reader ever sees a part of it.

        Args:
            path: The file, as the file system names it.
            data: Its bytes.
            replace: False: a file that is there already stays, as far as the file system can tell.

        Returns:
            Sha256 of the data.

        Raises:
            FileExistsError: There is such a file, and it was not to be replaced.
            UsageError: The folder cannot be written.
        """
        try:
            if self.local:
                write_file(Path(path), data, replace=replace)
            elif not replace and self.fs.exists(path):
                raise FileExistsError(path)
            else:
                self.fs.makedirs(path.rpartition("/")[0], exist_ok=True)
                self.fs.pipe_file(path, data)
        except FileExistsError as error:
            if not replace and self._is_file(path):
                raise
            raise self._unwritable(error) from error
        except OSError as error:
            raise self._unwritable(error) from error
        return hashlib.sha256(data).hexdigest()

    def create(self, path: str, data: bytes) -> bool:
        """Creates a small file; of several processes that try at once, one succeeds. Readers may see a part of it.

        Args:
            path: The file, as the file system names it.
            data: Its bytes.

        Returns:
            Whether there was none.

        Raises:
            UsageError: The folder cannot be written.
        """
        try:
            if not self.local:
                self.fs.makedirs(path.rpartition("/")[0], exist_ok=True)
                self.fs.pipe_file(path, data, mode="create")
                return True
            for _ in range(ATTEMPTS):
                with suppress(FileNotFoundError):  # the folder is not there, or another process has just removed it
                    with open(path, "xb") as file:
                        file.write(data)
                    return True
                os.makedirs(path.rpartition("/")[0], exist_ok=True)
        except FileExistsError:
            return False
        except OSError as error:
            if _http_status(error) in CONFLICT:
                return False
            raise self._unwritable(error) from error
        return False

    def _is_file(self, path: str) -> bool:
        return bool(os.path.isfile(path) if self.local else self.fs.isfile(path))

    def _unwritable(self, error: OSError) -> UsageError:
        if self.local and os.path.exists(self.root) and not os.path.isdir(self.root):
            return UsageError(f"cannot write the store {self.url!r}: it is a file, not a folder; name another folder or URL.")
        if error.errno == errno.ENOSPC:
            return UsageError(
                f"cannot write the store {self.url!r}: no space is left on the disk; what is stored is whole: free some "
                "space, and the same command goes on."
            )
        return UsageError(f"cannot write the store {self.url!r}: {error.strerror or error}; name another folder or URL.")

    def check_writable(self) -> None:
        """Creates the folder, and a file in it that is gone when this returns.

        Raises:
            UsageError: The folder cannot be written.
        """
        if not self.local:
            probe = f"{self.root}/.writable-{uuid.uuid4().hex}"
            self.write(probe, b"")
            self.remove(probe)
            return
        try:
            os.makedirs(self.root, exist_ok=True)
            with tempfile.TemporaryFile(dir=self.root) as file:
                file.write(b"0" * 4096)
        except OSError as error:
            raise self._unwritable(error) from error

    def alone(self) -> AbstractContextManager[Any]:
        """A lock on the folder that other processes wait for; a bucket has none.

        Raises:
            UsageError: The folder cannot be written.
        """
        if not self.local:
            return nullcontext()
        try:
            os.makedirs(self.root, exist_ok=True)
            return FileLock(f"{self.root}/.lock").acquire()
        except NotImplementedError:  # a file system without locks
            return nullcontext()
        except OSError as error:
            raise self._unwritable(error) from error

    def names(self, folder: str) -> list[str]:
        """Names of the files in a folder, sorted, without temporary ones."""
        self.fs.invalidate_cache()
        try:
            paths: list[Any] = self.fs.ls(folder, detail=False)
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(name for path in paths if not (name := path.rpartition("/")[2]).startswith("."))

    def below(self, folder: str) -> dict[str, FileState]:
        """The plain files below a folder by path, sorted; links to folders are not followed, since they may lead in a circle."""
        if self.local:
            return dict(sorted(_walk(folder)))
        self.fs.invalidate_cache()
        infos = self.fs.find(folder, detail=True) if self.fs.isdir(folder) else {}
        return {path: FileState(int(info["size"] or 0), None) for path, info in sorted(infos.items())}

    def sweep(self, folder: str) -> None:
        """Deletes the temporary files of killed processes in a folder; a bucket has none."""
        if self.local:
            sweep(folder)

    def remove(self, path: str) -> None:
        """Deletes a file, or a folder with everything in it."""
        self.fs.rm(path, recursive=self.fs.isdir(path))
