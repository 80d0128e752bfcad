"""The ledger of a board: which cells entered, left, were scored or run again.

It has one line an event. Each line holds the sha256 of the line before, so that no line can be changed or removed unnoticed.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from ...benchmark.store.store import Store
from ...core.errors import FlowgaugeError
from .trust import Trust

LEDGER = "ledger.jsonl"
START = "0" * 64
Action = Literal["entered", "left", "re-scored", "re-run", "committed", "revealed"]


class Event(BaseModel):
    """One line of the ledger.

    Attributes:
        action: What happened to the cells.
        when: Time, ISO 8601.
        cells: `<model>/<task>/<cell>` of each cell.
        trust: Level that the rows of these cells may show from now on.
        who: The submitter, or whoever ran the command.
        why: Reason in words.
        bundle: Sha256 of the bundle's manifest, where a bundle entered.
        commitment: Sha256 of a secret seed, where the board committed to it or revealed it (`seed_commitment`).
        secret: The seed and its salt, once revealed.
        before: Sha256 of the line before; 64 zeros at the start.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    when: str
    action: Action
    cells: tuple[str, ...]
    trust: Trust
    who: str = ""
    why: str = ""
    bundle: str = ""
    commitment: str = ""
    secret: str = ""
    before: str = START


def read_ledger(board: Store) -> list[Event]:
    """Every event of a board, oldest first; none where there is no ledger.

    Args:
        board: The board's store.

    Raises:
        FlowgaugeError: A line cannot be read, or does not hold the sum of the line before.
    """
    events, before = [], START
    for row, line in enumerate(_lines(board), start=1):
        try:
            event = Event.model_validate_json(line)
        except ValidationError as error:
            raise FlowgaugeError(f"{board.url}/{LEDGER}, line {row}: it cannot be read: restore an undamaged copy.") from error
        if event.before != before:
            raise FlowgaugeError(
                f"{board.url}/{LEDGER}, line {row}: a line before it was changed or removed: restore an undamaged copy."
            )
        events.append(event)
        before = _sum(line)
    return events


def add_event(
    board: Store,
    action: Action,
    cells: Sequence[str],
    trust: Trust,
    *,
    who: str = "",
    why: str = "",
    bundle: str = "",
    commitment: str = "",
    secret: str = "",
) -> Event:
    """Appends an event, after checking the sums of the lines before; processes that append at once wait for one another.

    Args:
        board: The board's store.
        action: As in `Event`, and so are the others.
        cells: Names in any order.
        trust: Level of the cells.
        who: The submitter, or whoever ran the command.
        why: Reason in words.
        bundle: Sha256 of a manifest.
        commitment: Sha256 of a secret seed.
        secret: The seed and its salt.

    Returns:
        The event as written.

    Raises:
        FlowgaugeError: The ledger is damaged.
    """
    with board.files.alone():
        read_ledger(board)
        lines = _lines(board)
        now = datetime.now(UTC).isoformat(timespec="seconds")
        before = _sum(lines[-1]) if lines else START
        event = Event(
            when=now, action=action, cells=tuple(sorted(cells)), trust=trust, who=who, why=why, bundle=bundle,
            commitment=commitment, secret=secret, before=before,
        )  # fmt: skip
        board.files.write(f"{board.files.root}/{LEDGER}", ("\n".join([*lines, event.model_dump_json()]) + "\n").encode())
    return event


def trusted(events: Sequence[Event]) -> dict[str, Trust]:
    """Level of trust of each cell, by `<model>/<task>/<cell>`; cells that were withdrawn are not in it.

    Args:
        events: Oldest first.
    """
    levels: dict[str, Trust] = {}
    for event in events:
        for cell in event.cells:
            if event.action == "left":
                levels.pop(cell, None)
            else:
                levels[cell] = event.trust
    return levels


def _lines(board: Store) -> list[str]:
    """Lines as they are hashed. Only a line feed ends one: JSON escapes it, but not the other ends of lines of `splitlines`."""
    text = (board.files.read(f"{board.files.root}/{LEDGER}") or b"").decode("utf-8", "replace")
    return text.removesuffix("\n").split("\n") if text else []


def _sum(line: str) -> str:
    return hashlib.sha256(line.encode()).hexdigest()
