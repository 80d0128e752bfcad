"""The ledger of a board: which cells entered, left, were scored or run again, and which metrics order the board.

It has one line an event. Each line holds the sha256 of the line before, so that no line can be changed or removed unnoticed but
the last; `ledger.head` beside it counts the lines and holds the sha256 of the last. Whoever can write both files can cut the
ledger and write a fitting head: only a head that was kept elsewhere (`leaderboard check --head`) shows that.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ...benchmark.store.damage import LEDGER
from ...benchmark.store.store import Store
from ...core.errors import FlowgaugeError, UsageError
from ...core.text_files import parse_json
from .trust import Trust

HEAD = "ledger.head"
START = "0" * 64
Action = Literal["entered", "left", "re-scored", "re-run", "noted", "ordered", "committed", "revealed"]


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
        sums: Sha256 of `record.json` of these cells and of `fit.json` of trainings that came with them, by path below the board.
        explanations: Instances of each of these cells whose explanations the board keeps; None: all.
        order: Metrics that order the board, by the instances of a task that they count on (`ComparableCells.name`).
        number: Place in the ledger, from 1; 0 in lines of flowgauge 0.1.
        before: Sha256 of the line before; 64 zeros at the start.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    when: str
    action: Action
    cells: tuple[str, ...]
    trust: Trust
    who: str = ""
    why: str = ""
    bundle: str = ""
    commitment: str = ""
    secret: str = ""
    sums: dict[str, str] = {}
    explanations: int | None = None
    order: dict[str, tuple[str, ...]] = {}
    number: int = 0
    before: str = START


class LedgerHead(BaseModel):
    """How many lines a ledger has and the sha256 of the last, as they stand in `ledger.head`.

    Attributes:
        events: The number of lines.
        sha256: Of the last line.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    events: int = Field(ge=1)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")

    @classmethod
    def of(cls, lines: Sequence[bytes]) -> LedgerHead:
        """The head of a ledger with these lines."""
        return cls(events=len(lines), sha256=_sum(lines[-1]))

    @classmethod
    def parse(cls, text: str) -> LedgerHead:
        """Reads a head as `leaderboard check` prints it.

        Raises:
            UsageError: The text is not `EVENTS:SHA256`.

        >>> LedgerHead.parse("2:" + "0" * 64).events
        2
        """
        events, _, total = text.strip().partition(":")
        try:
            return cls(events=int(events[:9]), sha256=total)
        except ValueError as error:
            raise UsageError(f"{text[:80]!r} is no head of a ledger: expected EVENTS:SHA256, as `check` prints it.") from error

    def __str__(self) -> str:
        return f"{self.events}:{self.sha256}"


def read_ledger(board: Store, head: LedgerHead | None = None) -> list[Event]:
    """Every event of a board, oldest first; none where there is no ledger.

    Args:
        board: The board's store.
        head: A head of this ledger that was kept elsewhere; None: only the one beside the ledger is known.

    Raises:
        FlowgaugeError: A line cannot be read or has not the sum of the line before, or the ledger does not lead to its head.
    """
    events, before, lines = list[Event](), START, _lines(board)
    for row, line in enumerate(lines, start=1):
        try:
            parse_json(line)
            event = Event.model_validate_json(line)
        except (ValueError, ValidationError, RecursionError) as error:
            raise _damaged(board, f"line {row}: it cannot be read") from error
        if event.before != before or event.number not in (0, row):
            raise _damaged(board, f"line {row}: a line before it was changed or removed")
        events.append(event)
        before = _sum(line)
    beside = _head_beside(board, events)
    for known, where in ((beside, f"{HEAD} beside it"), (head, "the head given")):
        if known is not None and known.events > len(lines):
            raise _damaged(board, f"it has {len(lines)} lines, {where} counts {known.events}")
        if known is not None and _sum(lines[known.events - 1]) != known.sha256:
            raise _damaged(board, f"line {known.events} is not the one whose sha256 {where} has")
    return events


def ledger_head(board: Store) -> LedgerHead | None:
    """The head of a board's ledger, to be kept elsewhere; None where there is no ledger.

    Args:
        board: The board's store, whose ledger was read before.
    """
    lines = _lines(board)
    return LedgerHead.of(lines) if lines else None


def _head_beside(board: Store, events: Sequence[Event]) -> LedgerHead | None:
    """What `ledger.head` has; None for ledgers of flowgauge 0.1, which have no head."""
    data = board.files.read(f"{board.files.root}/{HEAD}")
    if data is None:
        if len(events) > 1 and any(event.number for event in events):  # whoever was killed at the first event left no head
            raise _damaged(board, f"{HEAD} beside it is missing")
        return None
    try:
        parse_json(data)
        return LedgerHead.model_validate_json(data)
    except (ValueError, ValidationError, RecursionError) as error:
        raise _damaged(board, f"{HEAD} beside it cannot be read") from error


def _damaged(board: Store, what: str) -> FlowgaugeError:
    return FlowgaugeError(f"{board.url}/{LEDGER}: {what}: restore an undamaged copy.")


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
    sums: Mapping[str, str] | None = None,
    explanations: int | None = None,
    order: Mapping[str, tuple[str, ...]] | None = None,
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
        sums: Sha256 of records and trainings by path.
        explanations: Instances of each cell whose explanations are kept.
        order: Metrics that order the board.

    Returns:
        The event as written.

    Raises:
        FlowgaugeError: The ledger is damaged.
    """
    with board.files.alone():
        read_ledger(board)
        lines = _lines(board)
        event = Event(
            when=datetime.now(UTC).isoformat(timespec="seconds"), action=action, cells=tuple(sorted(cells)), trust=trust, who=who,
            why=why, bundle=bundle, commitment=commitment, secret=secret, sums=dict(sorted((sums or {}).items())),
            explanations=explanations, order=dict(order or {}), number=len(lines) + 1, before=_sum(lines[-1]) if lines else START,
        )  # fmt: skip
        lines.append(event.model_dump_json(exclude_defaults=True).encode())
        # The head comes second: whoever is stopped in between leaves a ledger that is longer than its head says, and whole.
        board.files.write(f"{board.files.root}/{LEDGER}", b"\n".join([*lines, b""]))
        board.files.write(f"{board.files.root}/{HEAD}", LedgerHead.of(lines).model_dump_json().encode())
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


def stated_order(events: Sequence[Event]) -> dict[str, tuple[str, ...]]:
    """The metrics that order a board by the instances of a task, as its ledger states them last; empty where it does not.

    Args:
        events: Oldest first.
    """
    return next((event.order for event in reversed(events) if event.action == "ordered"), {})


def _lines(board: Store) -> list[bytes]:
    """Lines as they are hashed. Only a line feed ends one: JSON escapes it, but not the other ends of lines of `splitlines`."""
    data = board.files.read(f"{board.files.root}/{LEDGER}")
    if data is None:
        return []
    if not data:
        raise _damaged(board, "it is empty")
    return data.removesuffix(b"\n").split(b"\n")


def _sum(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()
