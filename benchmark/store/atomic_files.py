"""Files that appear whole or not at all, on disk or in a bucket."""

from __future__ import annotations

import hashlib
import os
import uuid
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import fsspec
from filelock import FileLock

from ...core.errors import FlowgaugeError, UsageError


class Files:
    """A folder of files, on disk or in a bucket.

    Args:
        url: A path or any fsspec URL (`s3://bucket/results`, `memory://x`).

    Attributes:
        root: The folder as its file system names it.

    Raises:
        UsageError: The URL cannot be opened.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        try:
            self.fs, root = fsspec.core.url_to_fs(os.path.expanduser(url) if "://" not in url else url)
        except (ImportError, ValueError, OSError) as error:
            raise UsageError(f"cannot open the store {url!r}: {error}; name a folder or an fsspec URL.") from error
        self.root: str = root.rstrip("/")
        self._local = "file" in self.fs.protocol

    def read(self, path: str) -> bytes | None:
        """A file's bytes, None where there is no such file."""
        try:
            data: bytes = Path(path).read_bytes() if self._local else self.fs.cat_file(path)  # faster than fsspec
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            raise FlowgaugeError(f"cannot read {path}: {error}") from error
        return data

    def write(self, path: str, data: bytes) -> str:
        """Writes a file under a temporary name and renames it, so that no reader ever sees a part of it.

        Returns:
            Sha256 of the data.

        Raises:
            UsageError: The folder cannot be written.
        """
        folder, _, name = path.rpartition("/")
        temporary = f"{folder}/.{name}.{uuid.uuid4().hex}.tmp"
        try:
            self.fs.makedirs(folder, exist_ok=True)
            self.fs.pipe_file(temporary, data)
            if self._local:
                os.replace(temporary, path)
            else:
                self.fs.mv(temporary, path)
        except OSError as error:
            raise UsageError(f"cannot write the store {self.url!r}: {error}; name another folder or URL.") from error
        return hashlib.sha256(data).hexdigest()

    def alone(self) -> AbstractContextManager[Any]:
        """A lock on the folder that other processes wait for; a bucket has none.

        Raises:
            UsageError: The folder cannot be written.
        """
        if not self._local:
            return nullcontext()
        try:
            self.fs.makedirs(self.root, exist_ok=True)
            return FileLock(f"{self.root}/.lock").acquire()
        except OSError as error:
            raise UsageError(f"cannot write the store {self.url!r}: {error}; name another folder or URL.") from error

    def names(self, folder: str) -> list[str]:
        """Names of the files in a folder, sorted, without temporary ones."""
        self.fs.invalidate_cache()
        try:
            paths: list[Any] = self.fs.ls(folder, detail=False)
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(name for path in paths if not (name := path.rpartition("/")[2]).startswith("."))

    def below(self, folder: str) -> list[str]:
        """Paths of all files below a folder, sorted."""
        if self._local:
            return sorted(f"{home}/{name}" for home, _, names in os.walk(folder, followlinks=True) for name in names)
        self.fs.invalidate_cache()
        return sorted(self.fs.find(folder)) if self.fs.isdir(folder) else []

    def remove(self, path: str) -> None:
        """Deletes a file, or a folder with everything in it."""
        self.fs.rm(path, recursive=self.fs.isdir(path))
