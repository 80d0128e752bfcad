"""Claims on shares of a run's work, kept in the store, so that processes on one machine or on many do nothing twice.

<store>/claims/<12 hex>    while a process works on a share: which machine and process, what it works on, and a count of beats

Whoever creates the file works on the share, and deletes it afterwards. A file of a killed process stays: another process takes
the share over as soon as it sees that the process is gone (on the same machine), or that the file has not changed for `LEASE`
(on another). At worst a share is computed twice, and what is stored is the same, and whole: where a file system cannot create a
file exclusively, where two processes take over from a third in a bucket, which has no locks, or where a process sleeps for
longer than a lease and goes on.
"""

from __future__ import annotations

import json
import os
import threading
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from ..store.atomic_files import HOST, Files, has_ended
from ..store.key import short_hash

LEASE = 90.0
"""Time without a beat after which the share of a process on another machine is taken over (s)."""
BEAT = 15.0
"""Time between two beats (s)."""


class Claims:
    """The claims of one process on the shares of a store.

    Args:
        files: The store.
        lease: Time without a beat after which a claim is another's no longer (s).
        beat: Time between two beats (s).
    """

    def __init__(self, files: Files, lease: float = LEASE, beat: float = BEAT) -> None:
        self.files, self.lease, self.beat = files, lease, beat
        self.folder = f"{files.root}/claims"
        self._claimant = {"machine": HOST, "process": os.getpid(), "claimant": uuid.uuid4().hex}
        self._held: dict[str, str] = {}
        self._seen: dict[str, tuple[bytes, float]] = {}
        self._lock, self._ended, self._beats = threading.Lock(), threading.Event(), 0
        self._beating: threading.Thread | None = None

    @contextmanager
    def held(self, shares: Sequence[str]) -> Iterator[bool]:
        """Whether this process has all of some shares to itself while the block runs; none are kept where one is another's.

        Args:
            shares: What names them, the same in every process.
        """
        taken: list[str] = []
        try:
            for share in shares:
                if not self._take(share):
                    break
                taken.append(share)
            yield len(taken) == len(shares)
        finally:
            for share in taken:
                self._release(share)

    def close(self) -> None:
        """Ends the beats, and deletes the folder where no claim of a living process is left in it."""
        self._ended.set()
        if self._beating is not None:
            self._beating.join()
        for name in self.files.names(self.folder):
            path = f"{self.folder}/{name}"
            if _is_of_ended_process(self.files.read(path) or b""):
                with self.files.alone():
                    if _is_of_ended_process(self.files.read(path) or b""):
                        self._remove(path)
        self.files.sweep(self.folder)
        if self.files.local:
            with suppress(OSError):
                os.rmdir(self.folder)

    def _take(self, share: str) -> bool:
        path = self._path(share)
        if self.files.create(path, self._content(share)) or self._take_over(path, share):
            with self._lock:
                self._held[path] = share
            if self._beating is None:
                self._beating = threading.Thread(target=self._keep_beating, daemon=True)
                self._beating.start()
            return True
        return False

    def _take_over(self, path: str, share: str) -> bool:
        """Whether a claim that its process left behind is this process's now."""
        data = self.files.read(path)
        if data is None:
            return self.files.create(path, self._content(share))  # it was released in the meantime
        if not _is_of_ended_process(data) and not self._is_silent(path, data):
            return False
        with self.files.alone():
            if self.files.read(path) != data:
                return False
            self._remove(path)
            return self.files.create(path, self._content(share))

    def _is_silent(self, path: str, data: bytes) -> bool:
        """Whether a claim has been the same for longer than a lease, by this machine's clock alone: others may be wrong."""
        seen = self._seen.get(path)
        if seen is None or seen[0] != data:
            self._seen[path] = (data, time.monotonic())
            return False
        return time.monotonic() - seen[1] > self.lease

    def _release(self, share: str) -> None:
        path = self._path(share)
        with self._lock:  # not while it beats, which would write the file again
            self._held.pop(path, None)
            if self._is_own(path):
                self._remove(path)

    def _keep_beating(self) -> None:
        while not self._ended.wait(self.beat):
            self._beats += 1
            with self._lock, suppress(Exception):  # a store that is away for a while may come back within the lease
                for path, share in self._held.items():
                    if self._is_own(path):
                        self.files.write(path, self._content(share))

    def _path(self, share: str) -> str:
        """The file of a claim; the store may have another path on another machine."""
        return f"{self.folder}/{short_hash(share.removeprefix(self.files.root))}"

    def _is_own(self, path: str) -> bool:
        """Whether nobody has taken a claim over, while this process slept for longer than a lease."""
        return _claim(self.files.read(path) or b"").get("claimant") == self._claimant["claimant"]

    def _content(self, share: str) -> bytes:
        return json.dumps({**self._claimant, "beat": self._beats, "share": share}).encode()

    def _remove(self, path: str) -> None:
        with suppress(FileNotFoundError):
            self.files.remove(path)


def _is_of_ended_process(data: bytes) -> bool:
    """Whether a claim is that of a process of this machine that runs no more."""
    claim = _claim(data)
    return claim.get("machine") == HOST and isinstance(claim.get("process"), int) and has_ended(claim["process"])


def _claim(data: bytes) -> dict[str, Any]:
    """What a claim says; nothing where it is only being written."""
    try:
        claim = json.loads(data)
    except ValueError:
        return {}
    return claim if isinstance(claim, dict) else {}
