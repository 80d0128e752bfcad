"""Head pruning: accuracy against the pruned attention heads, least and most important first (Hao et al. 2021, Figs. 3 and 5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from ..stored.comparable_cells import ComparableCells
from ..tables.entries import TableEntry, read_entry
from .curves import BudgetCurve, curves, draw_curve
from .source import no_scores
from .style import GREY, INK, LARGE, NORMAL, SMALL, add_axes, add_text, line_style, new_figure, tidy

GLOBAL, PER_LAYER = "head_pruning", "layer_head_pruning"
"""The metrics that prune heads of all layers together, and heads within every layer."""
ORDERS = {"least-first": "least important heads first", "most-first": "most important heads first"}
RANKINGS = {
    "mean": "ranked by the other half of the instances",
    "instance": "ranked by each instance's own explanation",
    "oracle": "ranked by each instance's explanation of the gold answer (which leaks it)",
}
WIDTH, HEIGHT, LEFT, GAP = 3.5, 2.5, 0.75, 0.3
"""Inches: width and height of a panel, space left of the first panel and between panels."""


def pruning_figure(group: ComparableCells, labels: Sequence[str] | None = None) -> Figure:
    """Draws accuracy against the share of all heads that are pruned, a panel for each order of pruning.

    The legend lists the methods with the largest gap between the two areas first.

    Raises:
        UsageError: No cell has scores by head_pruning.
    """
    rows = {"": {order: curves(group, GLOBAL, labels, f"{order}/", f"{order}/auc") for order in ORDERS}}
    figure = _panels(group, GLOBAL, rows, "pruned heads, of all layers together (%)")
    known = {curve.label for panel in rows[""].values() for curve in panel}
    cells = group.by_label()
    gaps = {label: read_entry(cells[label], GLOBAL, "gap") for label in known}
    _legend(figure, group, gaps, "gap between the areas, method", sign="+")
    add_text(figure, 0.2, _top(1) + 0.62, f"Head pruning   {group.task}   {group.model}", fontsize=LARGE, color=INK, va="bottom")
    return figure


def layer_pruning_figure(group: ComparableCells, labels: Sequence[str] | None = None) -> Figure:
    """Draws accuracy against the number of heads pruned in every layer: a row for each ranking, a panel for each order.

    Raises:
        UsageError: No cell has scores by layer_head_pruning.
    """
    rows = {
        ranking: {o: curves(group, PER_LAYER, labels, f"{ranking}/{o}/", f"{ranking}/{o}/auc") for o in ORDERS}
        for ranking in RANKINGS
    }
    figure = _panels(group, PER_LAYER, rows, "number of pruned heads in every layer")
    cells = group.by_label()
    known = {curve.label for panels in rows.values() for panel in panels.values() for curve in panel}
    areas = {label: read_entry(cells[label], PER_LAYER, "mean/least-first/auc") for label in known}
    _legend(figure, group, areas, "area under the curve of the first panel, method")
    title = f"Head pruning in every layer   {group.task}   {group.model}"
    add_text(figure, 0.2, _top(len(rows)) + 0.62, title, fontsize=LARGE, color=INK, va="bottom")
    return figure


def _panels(group: ComparableCells, metric: str, rows: Mapping[str, Mapping[str, list[BudgetCurve]]], label: str) -> Figure:
    """Draws the curves in rows of panels on one scale; `label` names the horizontal axis."""
    if not any(panel for panels in rows.values() for panel in panels.values()):
        raise no_scores(group.task, metric)
    figure = new_figure(LEFT + 2 * WIDTH + GAP + 3.6, _top(len(rows)) + 1.0)
    floor = min(low for panels in rows.values() for panel in panels.values() for curve in panel for low in curve.low)
    order = sorted(group.labels)
    for row, (ranking, panels) in enumerate(rows.items()):
        bottom = _top(len(rows)) - HEIGHT - row * (HEIGHT + 0.55)
        for column, (name, panel) in enumerate(panels.items()):
            axes = add_axes(figure, LEFT + column * (WIDTH + GAP), bottom, WIDTH, HEIGHT)
            _draw_panel(axes, panel, order, name_ends=column == 1)
            axes.set_ylim(max(floor - 0.06, -0.02), 1.04)
            axes.set_title(ORDERS[name], fontsize=NORMAL, loc="left", color=GREY) if row == 0 else None
            axes.set_xlabel(label, fontsize=NORMAL) if row == len(rows) - 1 else None
            axes.set_ylabel("accuracy", fontsize=NORMAL) if column == 0 else axes.tick_params(labelleft=False)
        if ranking:
            add_text(figure, LEFT + 0.06, bottom + 0.06, RANKINGS[ranking], fontsize=SMALL, color=GREY, va="bottom")
    return figure


def _draw_panel(axes: Axes, panel: Sequence[BudgetCurve], order: Sequence[str], name_ends: bool) -> None:
    """Draws the curves of a panel, with lines at the accuracies of the whole model and of the model without heads."""
    tidy(axes)
    for curve in panel:
        draw_curve(axes, curve, order.index(curve.label))
    for end, name in ((0, "whole model"), (-1, "no head")):
        if panel:
            height = panel[0].values[end]
            axes.axhline(height, color=GREY, lw=0.8, ls=":", zorder=0)
            if name_ends:
                axes.text(1.015, height, name, fontsize=SMALL, color=GREY, va="center", transform=axes.get_yaxis_transform())
    axes.set_xlim(0, max((curve.budgets[-1] for curve in panel), default=1))


def _legend(figure: Figure, group: ComparableCells, cells: Mapping[str, TableEntry], title: str, sign: str = "") -> None:
    """Adds a legend that lists every method once with its number, the largest number first."""
    order = sorted(group.labels)
    lines, names = [], []
    for label in sorted(cells, key=lambda name: (-cells[name].value if cells[name].known else 1.0, name)):
        colour, line = line_style(order.index(label))
        lines.append(Line2D([], [], color=colour, ls=line, lw=1.8))
        names.append(f"{cells[label].value:{sign}.3f}  {label}" if cells[label].known else label)
    width, height = figure.get_size_inches()
    corner = ((LEFT + 2 * WIDTH + GAP + 0.85) / width, 1 - 1.0 / height)
    figure.legend(lines, names, loc="upper left", bbox_to_anchor=corner, borderaxespad=0, fontsize=SMALL, frameon=False,
                  handlelength=3.2, title=title, title_fontsize=SMALL, alignment="left")  # fmt: skip
    count = f"{group.instances} instances. Bands: 95 % intervals."
    add_text(figure, 0.2, height - 0.57, count, fontsize=SMALL, color=GREY, va="bottom")


def _top(rows: int) -> float:
    """Inches from the lower edge of a figure with so many rows to the upper edge of its first panel."""
    return 0.6 + rows * HEIGHT + (rows - 1) * 0.55
