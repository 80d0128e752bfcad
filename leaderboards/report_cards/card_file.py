"""Report cards as a file of JSON, which `flowgauge report-card` writes and the pages of a board read."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from ...core.errors import UsageError, first_fault
from ...core.text_files import parse_json, read_text
from ...core.version import VERSION
from .cards import ReportCards, TaskMean

KIND = "flowgauge-report-cards"
"""What the file says that it is."""
NOT_KNOWN = ("value", "low", "high", "noise_95")
"""Fields that are null in the file where a number is undefined."""


def to_json(cards: ReportCards) -> str:
    """The cards as JSON; what is undefined is null, beside its reason."""
    stored = [{name: getattr(card, name) for name in asdict(card)} for card in cards.cards]
    tasks = [task._asdict() for task in cards.tasks]
    whole = {"kind": KIND, "flowgauge": VERSION, "tasks": tasks, "methods": cards.methods, "cards": stored}
    return json.dumps(_plain(whole), indent=1)


def read_cards(path: Path) -> ReportCards:
    """The cards of a file.

    Raises:
        UsageError: The file cannot be read, is another kind of file, or its cards do not fit together.
    """
    text = read_text(path, "file of report cards")
    try:
        stored = parse_json(text)
        if not isinstance(stored, dict) or stored.get("kind") != KIND:
            raise ValueError(f"its kind is not {KIND}")
        cards = TypeAdapter(ReportCards).validate_python(_with_nan(stored))
        _check(cards)
        return cards
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"{path} holds no report cards ({first_fault(error)}): `flowgauge report-card STORE --out DIR` writes them."
        ) from error


def _check(cards: ReportCards) -> None:
    """Checks what tables and figures of cards rest on.

    Raises:
        ValueError: Nothing was measured, a metric has two cards, or a card lacks a correlation or the size of an oracle's noise.
    """
    names = [card.metric for card in cards.cards]
    if not names or not cards.tasks:
        raise ValueError("it has no cards, or none of the tasks that they were measured on")
    if len(set(names)) < len(names):
        raise ValueError("a metric has two cards")
    for card in cards.cards:
        lacking = {*names, *card.operators} - {card.metric, *card.correlations}
        if lacking:
            raise ValueError(f"the card of {card.metric} has no correlation with {min(lacking)}")
        for kind in card.power:
            float(kind.rpartition("=")[2])


def _plain(value: Any) -> Any:
    if isinstance(value, TaskMean):
        return _plain(value._asdict())
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_plain(part) for part in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def _with_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: math.nan if part is None and name in NOT_KNOWN else _with_nan(part) for name, part in value.items()}
    return [_with_nan(part) for part in value] if isinstance(value, list) else value
