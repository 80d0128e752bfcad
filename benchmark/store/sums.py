"""Sums by which damage to a file is noticed: one that the file holds itself, and one that a record or a manifest lists.

A file that flowgauge writes holds the sha256 of itself, taken while that sum was 64 zeros (`seal`). It stands in the header of
safetensors, in the metadata of Parquet and as the last entry of JSON, so that one function checks them all. Files of earlier
versions have no seal and are taken as they are, unless a record lists their sum.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from ...core.errors import FlowgaugeError

MARK, ZEROS = b"flowgauge-seal:", b"0" * 64
BLANK = (MARK + ZEROS).decode()
"""What a file holds in the place of its seal until `seal` fills it in."""


class DamagedFile(FlowgaugeError):
    """A stored file that is missing, cut short or otherwise not what was written."""


def seal(data: bytes) -> bytes:
    """The bytes of a file with its sum in the place of the last blank seal.

    >>> check(seal(b"weights, flowgauge-seal:" + b"0" * 64), "a file")
    """
    start = data.rindex(BLANK.encode()) + len(MARK)
    return data[:start] + hashlib.sha256(data).hexdigest().encode() + data[start + len(ZEROS) :]


def sealed_json(text: str) -> bytes:
    """The text of a JSON object as the bytes of a file, with the seal as its last entry."""
    return seal(f'{text.rstrip().removesuffix("}").rstrip()},\n "seal": "{BLANK}"\n}}\n'.encode())


def without_seal(document: Any) -> Any:
    """A JSON object without its seal, which is no part of what it says."""
    return {name: value for name, value in document.items() if name != "seal"} if isinstance(document, dict) else document


def check(data: bytes, where: str, sha256: str = "", seals: bool = True) -> None:
    """Holds the bytes of a file against its seal and against its sum, where it has them.

    Args:
        data: The whole file.
        where: Its name, for the message.
        sha256: The sum that a record or a manifest lists; empty: only the seal is checked.
        seals: Whether the seal is checked.

    Raises:
        DamagedFile: The bytes are others than those that were written.
    """
    if sha256 and hashlib.sha256(data).hexdigest() != sha256:
        raise DamagedFile(f"{where} is damaged: its sha256 is not the one that was recorded.")
    mark = data.rfind(MARK) if seals else -1
    if mark < 0:
        return
    start = mark + len(MARK)
    total = hashlib.sha256(data[:start])
    total.update(ZEROS + data[start + len(ZEROS) :])
    if data[start : start + len(ZEROS)] != total.hexdigest().encode():
        raise DamagedFile(f"{where} is damaged: it does not have the sha256 that is noted in it.")


def file_sum(path: Path) -> str:
    """Sha256 of a file of any size on this machine."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
