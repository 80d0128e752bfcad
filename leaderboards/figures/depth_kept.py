"""Over how many depths the tokens of each class are kept (figures 4 and 5 of De Cao et al. 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from ...core.errors import UsageError
from ..stored.comparable_cells import ComparableCells, find_score
from ..tables.task_tables import TableEntry, read_cell
from .style import GREY, INK, LARGE, METHODS, NORMAL, SMALL, add_axes, add_text, new_figure, plain, tidy

METRIC = "depth_kept"
BAR, LEFT, WIDTH, GAP = 0.24, 1.35, 2.9, 0.35
"""Inches: height of a bar, left of the first panel, its width, and between panels."""
SENTIMENT = ("very negative", "negative", "neutral", "positive", "very positive")


@dataclass(frozen=True)
class Bars:
    """One method's mean depths.

    Attributes:
        label: The method.
        classes: Mean number of depths by class of words.
        special: The same by special token.
        overall: Of all words.
    """

    label: str
    classes: dict[str, TableEntry]
    special: dict[str, TableEntry]
    overall: TableEntry


def depth_bars(group: ComparableCells, labels: Sequence[str] | None = None) -> list[Bars]:
    """The mean depths of a task's methods, in order of their names."""
    found = []
    for label, record in sorted(group.by_label().items()):
        score = find_score(record, METRIC)
        if score is None or score.status != "done" or (labels is not None and label not in labels):
            continue
        names = [a.variant for a in score.aggregates]
        cells = {kind: {n.removeprefix(kind): read_cell(record, METRIC, n) for n in names if n.startswith(kind)} for kind in
                 ("class/", "special/")}  # fmt: skip
        found.append(Bars(label, cells["class/"], cells["special/"], read_cell(record, METRIC, "all")))
    return found


def depth_figure(group: ComparableCells, labels: Sequence[str] | None = None) -> Figure:
    """A panel a method: bars of classes, special tokens below; sentiment in its order, other classes by the first method's depth.

    Raises:
        UsageError: No cell is scored with depth_kept.
    """
    shown = depth_bars(group, labels)
    if not shown:
        raise UsageError(f"no cell of {group.task} is scored with {METRIC}; `flowgauge score STORE --metric {METRIC}` adds it.")
    classes, special = _ordered([one.classes for one in shown]), _ordered([one.special for one in shown])
    rows = [*classes, *special]
    high = max(cell.high if np.isfinite(cell.high) else cell.value for one in shown for cell in _cells(one).values())
    tall = BAR * len(rows)
    figure = new_figure(max(LEFT + len(shown) * (WIDTH + GAP), 5.4), 0.6 + tall + 1.0)
    for number, one in enumerate(shown):
        axes = add_axes(figure, LEFT + number * (WIDTH + GAP), 0.6, WIDTH, tall)
        tidy(axes)
        for row, name in enumerate(rows):
            cell = _cells(one).get(name)
            if cell is None:
                continue
            colour = METHODS[0] if row < len(classes) else GREY
            axes.barh(row, cell.value, height=0.72, color=colour)
            if np.isfinite(cell.low):
                axes.plot([cell.low, cell.high], [row, row], color=INK, lw=1.0)
        axes.axvline(one.overall.value, color=INK, lw=0.8, ls=":")
        axes.set_ylim(len(rows) - 0.4, -0.6)
        axes.set_xlim(0, high * 1.05 or 1.0)  # nothing may be kept at all
        axes.set_yticks(range(len(rows)), [plain(name) for name in rows] if number == 0 else [""] * len(rows), fontsize=SMALL)
        axes.set_title(one.label, fontsize=NORMAL, loc="left", color=INK)
        axes.set_xlabel("depths kept", fontsize=NORMAL)
    height = float(figure.get_size_inches()[1])
    add_text(figure, 0.2, height - 0.34, f"Depths kept   {group.task}   {group.model}", fontsize=LARGE, color=INK, va="bottom")
    note = f"{group.instances} instances; sum of P(keep) over depths, 95 % intervals; dotted: all words"
    add_text(figure, 0.2, height - 0.53, note, fontsize=SMALL, color=GREY, va="bottom")
    return figure


def _cells(bars: Bars) -> dict[str, TableEntry]:
    return {**bars.classes, **bars.special}


def _ordered(methods: Sequence[dict[str, TableEntry]]) -> list[str]:
    """Sentiment from very negative to very positive; other classes from the largest depth of the first method that has them."""
    known = {name: cell.value for cells in reversed(methods) for name, cell in cells.items()}
    if set(known) & set(SENTIMENT):
        return [name for name in (*SENTIMENT, *sorted(set(known) - set(SENTIMENT))) if name in known]
    return sorted(known, key=lambda name: (-known[name], name))
