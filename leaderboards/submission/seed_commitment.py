"""A secret seed that a board commits to before anyone submits, and reveals afterwards."""

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
    """A seed, and a salt so that nobody finds the seed of a commitment by trying seeds.

    Attributes:
        seed: Draws the instances of tasks.
        salt: 32 hexadecimal digits.
    """

    seed: int
    salt: str

    @property
    def text(self) -> str:
        """Text that is kept, hashed and revealed: `flowgauge-seed-1:<seed>:<salt>`."""
        return f"{MARK}:{self.seed}:{self.salt}"

    @property
    def commitment(self) -> str:
        """Sha256 of the text, in hexadecimal digits, which is published before anyone submits.

        >>> Secret(7, "00" * 16).commitment[:12]
        '3bdde6525c1e'
        """
        return hashlib.sha256(self.text.encode()).hexdigest()


def new_secret() -> Secret:
    """A random seed and salt, from the operating system's source of randomness."""
    return Secret(secrets.randbits(SEED_BITS), secrets.token_hex(SALT_BYTES))


def write_secret(path: str | Path, secret: Secret) -> None:
    """Writes a secret into a new file that only its owner may read.

    Args:
        path: The file, which must not exist.
        secret: Seed and salt.

    Raises:
        UsageError: The file exists, or cannot be written.
    """
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
            file.write(secret.text + "\n")
    except OSError as error:
        raise UsageError(f"cannot write the secret to {path}: {error.strerror}; choose a new file.") from error


def read_secret(given: str) -> Secret:
    """Reads a secret from its text, or from the file that holds it.

    Args:
        given: The text, or the path of the file.

    Raises:
        UsageError: It is neither.
    """
    path = Path(given)
    try:
        kept = len(given) < 1000 and path.is_file()
        text = path.read_text(encoding="utf-8", errors="replace").strip() if kept else given.strip()
    except OSError as error:
        raise UsageError(f"cannot read the secret {given!r}: {error.strerror}.") from error
    match = re.fullmatch(rf"{MARK}:(\d{{1,15}}):([0-9a-f]{{{2 * SALT_BYTES}}})", text)
    if match is None:
        raise UsageError(f"{given[:80]!r} is neither a secret seed nor a file with one: expected {MARK}:<seed>:<salt>.")
    return Secret(int(match[1]), match[2])


def commit(url: str, secret: Secret, who: str = "", why: str = "") -> Event:
    """Publishes the commitment to a seed in a board's ledger; the seed itself stays secret.

    Args:
        url: The board.
        secret: Seed and salt.
        who: Whoever commits to it.
        why: Reason in words.

    Raises:
        UsageError: The board has committed to this seed before.
    """
    board = Store(url)
    if any(event.commitment == secret.commitment for event in read_ledger(board)):
        raise UsageError(f"the board {url!r} has committed to this seed already.")
    return add_event(board, "committed", [], "self-reported", who=who, why=why, commitment=secret.commitment)


def reveal(url: str, secret: Secret, who: str = "", why: str = "") -> Event:
    """Publishes the seed itself, so that anyone can repeat the checks that used it; from then on it is no secret.

    Args:
        url: The board.
        secret: Seed and salt.
        who: Whoever reveals it.
        why: Reason in words.

    Raises:
        UsageError: The board never committed to it, or has revealed it before.
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

    Args:
        url: The board.
        secret: Seed and salt.

    Raises:
        UsageError: There is none: the seed or the board is another one.
    """
    committed = [event for event in read_ledger(Store(url)) if event.action == "committed"]
    event = next((event for event in committed if event.commitment == secret.commitment), None)
    if event is None:
        raise UsageError(
            f"this seed opens none of the {len(committed)} commitments in the ledger of {url!r}: its sha256 is "
            f"{secret.commitment[:12]}..., published are {', '.join(e.commitment[:12] + '...' for e in committed) or 'none'}."
        )
    return event


def revealed(url: str, secret: Secret) -> str:
    """Time when a board revealed a seed; empty where it has not.

    Args:
        url: The board.
        secret: Seed and salt.
    """
    events = read_ledger(Store(url))
    return next((e.when for e in events if e.action == "revealed" and e.commitment == secret.commitment), "")
