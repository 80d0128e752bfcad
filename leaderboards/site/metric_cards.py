"""The page of the metrics' report cards: its rows, its addresses and its table as a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ...core.registry import Spec
from ..export.sheets import Sheet
from ..report_cards.cards import ReportCard, ReportCards, kinds_of
from ..report_cards.pages import cards_table
from .formatting import PageNames

SPREAD = ("level", "ladder", "truth")
"""Fields of a card that are means over tasks with an interval."""


@dataclass(frozen=True)
class CardRow:
    """A metric's row on the page.

    Attributes:
        card: The card.
        anchor: The name of the row in the page's address.
        cells: Its numbers as text, by the head of their column.
    """

    card: ReportCard
    anchor: str
    cells: Mapping[str, str]


def card_rows(cards: ReportCards) -> tuple[CardRow, ...]:
    """A row a metric: by the view that it reads, and of each view those that rank methods as the truth does first.

    Args:
        cards: The cards.
    """
    names = PageNames()
    table = cards_table(cards.cards).drop(columns=["metric", "reads", "tasks"])
    rows = [
        CardRow(card, names.of(card.metric), cells)
        for card, cells in zip(cards.cards, table.to_dict(orient="records"), strict=True)
    ]
    views = list(dict.fromkeys(card.reads for card in cards.cards))
    return tuple(sorted(rows, key=lambda row: (views.index(row.card.reads), -_or_least(row.card.truth.value))))


def _or_least(value: float) -> float:
    return value if value == value else float("-inf")


def anchor_of(rows: Sequence[CardRow], metric: str, settings: Mapping[str, Any]) -> str:
    """The address of the row of a metric with the settings that a board has it with; empty where there is no such card.

    Args:
        rows: The page's rows.
        metric: Plain name.
        settings: Of the board's scores.
    """
    for row in rows:
        spec = Spec.parse(row.card.metric)
        if spec.name.partition("@")[0] == metric and all(str(settings.get(k)) == str(v) for k, v in spec.settings.items()):
            return f"metrics.html#{row.anchor}"
    return ""


def cards_sheet(cards: ReportCards) -> Sheet:
    """The table of the cards: every number with the ends of its interval."""
    rows = []
    for card in cards.cards:
        means = {field: getattr(card, field) for field in SPREAD} | {f"power {kind}": mean for kind, mean in card.power.items()}
        rows.append(
            {"metric": card.metric, "reads": card.reads, "unit": card.unit, "instances": card.instances[1]}
            | {"tasks": card.level.tasks, "noise": card.noise.value, "noise_95": card.noise_95}
            | {f"{name}{end}": value for name, mean in means.items()
               for end, value in (("", mean.value), (" low", mean.low), (" high", mean.high))}
        )  # fmt: skip
    columns = list(dict.fromkeys(name for row in rows for name in row))
    ordered = [name for name in columns if not name.startswith("power")]
    ordered += [f"power {kind}{end}" for kind in kinds_of(cards.cards) for end in ("", " low", " high")]
    return Sheet(pd.DataFrame(rows, columns=ordered), cards_table(cards.cards), f"Report cards of metrics. {cards.measured_on}")
