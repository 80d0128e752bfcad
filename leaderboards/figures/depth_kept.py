"""The number of depths over which the tokens of each class are kept (figures 4 and 5 of De Cao et al. 2020)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..stored.comparable_cells import ComparableCells
from ..tables.entries import TableEntry, read_entry
from .source import no_scores, scored_cells
from .style import GREY, INK, METHODS, NORMAL, SMALL, add_axes, add_task_head, new_figure, plain, tidy

METRIC = "depth_kept"
BAR, LEFT, WIDTH, GAP = 0.24, 1.35, 2.9, 0.35
"""Inches: height of a bar, space left of the first panel, width of a panel, and space between panels."""
SENTIMENT = ("very negative", "negative", "neutral", "positive", "very positive")
"""Classes of sentiment in the order in which they are drawn."""


@dataclass(frozen=True)
class DepthBars:
    """The mean number of depths at which one method keeps words.

    Attributes:
        label: The method's label.
        classes: Mean number of depths by class of words.
        special: Mean number of depths by special token.
        overall: Mean number of depths over all words.
    """

    label: str
    classes: dict[str, TableEntry]
    special: dict[str, TableEntry]
    overall: TableEntry


def depth_bars(group: ComparableCells, labels: Sequence[str] | None = None) -> list[DepthBars]:
    """Reads the mean depths of a task's methods in order of their labels; `labels` limits which are read."""
    read = []
    for label, record, score in scored_cells(group, METRIC, labels):
        names = [a.variant for a in score.aggregates]
        cells = {kind: {n.removeprefix(kind): read_entry(record, METRIC, n) for n in names if n.startswith(kind)} for kind in
                 ("class/", "special/")}  # fmt: skip
        read.append(DepthBars(label, cells["class/"], cells["special/"], read_entry(record, METRIC, "all")))
    return read


def depth_figure(group: ComparableCells, labels: Sequence[str] | None = None) -> Figure:
    """Draws a panel for each method: bars of the classes of words, and of the special tokens below them.

    Classes of sentiment stand in their own order, other classes in order of the first method's depths.

    Raises:
        UsageError: No cell has scores by depth_kept.
    """
    shown = depth_bars(group, labels)
    if not shown:
        raise no_scores(group.task, METRIC)
    classes, special = _ordered([bars.classes for bars in shown]), _ordered([bars.special for bars in shown])
    rows = [*classes, *special]
    high = max(cell.high if np.isfinite(cell.high) else cell.value for bars in shown for cell in _cells(bars).values())
    tall = BAR * len(rows)
    figure = new_figure(max(LEFT + len(shown) * (WIDTH + GAP), 5.4), 0.6 + tall + 1.0)
    for index, bars in enumerate(shown):
        axes = add_axes(figure, LEFT + index * (WIDTH + GAP), 0.6, WIDTH, tall)
        _draw(axes, bars, rows, n_classes=len(classes), named=index == 0)
        axes.set_xlim(0, high * 1.05 or 1.0)  # where no word is kept at all, the largest value is 0
    note = f"{group.instances} instances; sums of P(keep) over depths with 95 % intervals. Dotted: mean over all words."
    add_task_head(figure, f"Number of depths kept   {group.task}   {group.model}", note)
    return figure


def _draw(axes: Axes, bars: DepthBars, rows: Sequence[str], *, n_classes: int, named: bool) -> None:
    """Draws the bars of one method; the first `n_classes` rows are classes of words, the others special tokens."""
    tidy(axes)
    for row, name in enumerate(rows):
        cell = _cells(bars).get(name)
        if cell is None:
            continue
        axes.barh(row, cell.value, height=0.72, color=METHODS[0] if row < n_classes else GREY)
        if np.isfinite(cell.low):
            axes.plot([cell.low, cell.high], [row, row], color=INK, lw=1.0)
    axes.axvline(bars.overall.value, color=INK, lw=0.8, ls=":")
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_yticks(range(len(rows)), [plain(name) for name in rows] if named else [""] * len(rows), fontsize=SMALL)
    axes.set_title(bars.label, fontsize=NORMAL, loc="left", color=INK)
    axes.set_xlabel("number of depths kept", fontsize=NORMAL)


def _cells(bars: DepthBars) -> dict[str, TableEntry]:
    """The entries of all rows by name."""
    return {**bars.classes, **bars.special}


def _ordered(methods: Sequence[dict[str, TableEntry]]) -> list[str]:
    """Names of the rows: sentiment from very negative to very positive; others from the largest depth of the first method."""
    known = {name: cell.value for cells in reversed(methods) for name, cell in cells.items()}
    if set(known) & set(SENTIMENT):
        return [name for name in (*SENTIMENT, *sorted(set(known) - set(SENTIMENT))) if name in known]
    return sorted(known, key=lambda name: (-known[name], name))
