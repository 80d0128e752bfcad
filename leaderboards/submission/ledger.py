"""A board's memory: what entered, left, was scored or run again; one line an event, each holding the one before. No torch."""

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
    """One line.

    Attributes:
        action: What happened to the cells.
        cells: `<model>/<task>/<cell>` of each.
        trust: What their rows may show from now on.
        who: The submitter, or who ran the command.
        why: In words.
        bundle: Sha256 of the bundle's manifest, where one entered.
        commitment: Sha256 of a secret seed, where one was committed to or revealed (`leaderboards.secret`).
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

    Raises:
        FlowgaugeError: A line that cannot be read, or that does not follow from the one before.
    """
    events, before = [], START
    for number, line in enumerate(_lines(board), start=1):
        try:
            event = Event.model_validate_json(line)
        except ValidationError as error:
            raise FlowgaugeError(f"{board.url}/{LEDGER}, line {number}: it cannot be read: bring back a whole copy.") from error
        if event.before != before:
            raise FlowgaugeError(
                f"{board.url}/{LEDGER}, line {number}: a line before it was changed or taken out: bring back a whole copy."
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
    """Appends an event; what is there is held against its sums first. Processes that do so at once wait for one another."""
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
    """What each cell's rows may show, by `<model>/<task>/<cell>`; cells that left are not in it."""
    found: dict[str, Trust] = {}
    for event in events:
        for cell in event.cells:
            if event.action == "left":
                found.pop(cell, None)
            else:
                found[cell] = event.trust
    return found


def _lines(board: Store) -> list[str]:
    """Lines as they are hashed. A line feed alone ends one: JSON escapes it, but not what `splitlines` takes for an end, too."""
    text = (board.files.read(f"{board.files.root}/{LEDGER}") or b"").decode("utf-8", "replace")
    return text.removesuffix("\n").split("\n") if text else []


def _sum(line: str) -> str:
    return hashlib.sha256(line.encode()).hexdigest()
