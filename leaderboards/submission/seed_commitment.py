"""A secret seed that a board commits to before anyone submits, and reveals afterwards. No torch."""

from __future__ import annotations

import hashlib
import os
import re
import secrets
from dataclasses import dataclass
from pathlib import Path

from ...benchmark.store.store import Store
from ...core.errors import UsageError
from .ledger import Event, add_event, read_ledger

MARK = "flowgauge-seed-1"
SEED_BITS, SALT_BYTES = 48, 16


@dataclass(frozen=True)
class Secret:
    """A seed and the salt that keeps anyone from finding it by trying seeds.

    Attributes:
        seed: What tasks are drawn with.
        salt: Hexadecimal digits.
    """

    seed: int
    salt: str

    @property
    def text(self) -> str:
        """As it is kept and revealed: `flowgauge-seed-1:<seed>:<salt>`."""
        return f"{MARK}:{self.seed}:{self.salt}"

    @property
    def commitment(self) -> str:
        """Sha256 of the text, in hexadecimal digits: what is published first.

        >>> Secret(7, "00" * 16).commitment[:12]
        '3bdde6525c1e'
        """
        return hashlib.sha256(self.text.encode()).hexdigest()


def new_secret() -> Secret:
    """A seed and salt that nobody can guess."""
    return Secret(secrets.randbits(SEED_BITS), secrets.token_hex(SALT_BYTES))


def write_secret(path: str | Path, secret: Secret) -> None:
    """Writes it into a new file that only its owner may read.

    Raises:
        UsageError: The file is there, or cannot be made.
    """
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(secret.text + "\n")
    except OSError as error:
        raise UsageError(f"cannot write the secret to {path}: {error.strerror}; choose a new file.") from error


def read_secret(given: str) -> Secret:
    """The secret itself, or the file that holds it.

    Raises:
        UsageError: Neither.
    """
    path = Path(given)
    try:
        kept = len(given) < 1000 and path.is_file()
        text = path.read_text(encoding="utf-8", errors="replace").strip() if kept else given.strip()
    except OSError as error:
        raise UsageError(f"cannot read the secret {given!r}: {error.strerror}.") from error
    found = re.fullmatch(rf"{MARK}:(\d{{1,15}}):([0-9a-f]{{{2 * SALT_BYTES}}})", text)
    if found is None:
        raise UsageError(f"{given[:80]!r} is no secret seed and no file with one: expected {MARK}:<seed>:<salt>.")
    return Secret(int(found[1]), found[2])


def commit(url: str, secret: Secret, who: str = "", why: str = "") -> Event:
    """Publishes the commitment to a seed in a board's ledger; the seed stays with whoever made it.

    Raises:
        UsageError: It is there already.
    """
    board = Store(url)
    if any(event.commitment == secret.commitment for event in read_ledger(board)):
        raise UsageError(f"the board {url!r} has committed to this seed already.")
    return add_event(board, "committed", [], "self-reported", who=who, why=why, commitment=secret.commitment)


def reveal(url: str, secret: Secret, who: str = "", why: str = "") -> Event:
    """Publishes the seed itself, so that anyone can repeat what was checked with it; from then on it is no secret.

    Raises:
        UsageError: The board never committed to it, or it is revealed already.
    """
    opened(url, secret)
    since = revealed(url, secret)
    if since:
        raise UsageError(f"the board {url!r} revealed this seed already, on {since}.")
    return add_event(
        Store(url), "revealed", [], "self-reported", who=who, why=why, commitment=secret.commitment, secret=secret.text
    )


def opened(url: str, secret: Secret) -> Event:
    """The event in which a board committed to a seed.

    Raises:
        UsageError: There is none: it is not the seed, or not the board.
    """
    committed = [event for event in read_ledger(Store(url)) if event.action == "committed"]
    found = next((event for event in committed if event.commitment == secret.commitment), None)
    if found is None:
        raise UsageError(
            f"this seed opens none of the {len(committed)} commitments in the ledger of {url!r}: its sha256 is "
            f"{secret.commitment[:12]}..., published are {', '.join(e.commitment[:12] + '...' for e in committed) or 'none'}."
        )
    return found


def revealed(url: str, secret: Secret) -> str:
    """When a board revealed a seed, empty where it has not."""
    events = read_ledger(Store(url))
    return next((e.when for e in events if e.action == "revealed" and e.commitment == secret.commitment), "")
