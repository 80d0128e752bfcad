"""Retention and deletion curves: accuracy against the share of nodes, or heads, kept or removed, with 95 % bands."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ..stored.comparable_cells import ComparableCells
from ..tables.columns import ABLATED
from ..tables.entries import read_entry
from .source import no_scores, scored_cells
from .style import GREY, INK, LARGE, NORMAL, SMALL, add_axes, add_text, line_style, new_figure, tidy

Unit = Literal["nodes", "heads"]
BUDGET = "budget/"
"""How the variants begin that hold a point of a curve."""
CURVES = {"retention_curve": "kept", "deletion_curve": "removed"}
"""The metrics that are curves, and what each does with the nodes or heads of its budget."""
UNITS: dict[Unit, str] = {"nodes": "", "heads": "heads/"}
"""What is kept or removed, and how the variants of its curve begin."""


@dataclass(frozen=True)
class BudgetCurve:
    """The curve of one method: accuracy by budget.

    Attributes:
        label: The method's label.
        budgets: Percent of nodes or heads, or a number of heads, in rising order.
        values: Accuracy at each budget, a share of instances.
        low, high: Ends of the 95 % interval at each budget.
        area: Area under the curve, or NaN where it is not stored.
    """

    label: str
    budgets: tuple[float, ...]
    values: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    area: float


def curves(
    group: ComparableCells,
    metric: str = "retention_curve",
    labels: Sequence[str] | None = None,
    line: str = BUDGET,
    area: str = "auc",
) -> list[BudgetCurve]:
    """Reads the curves of the methods of a task, the largest area first.

    Args:
        group: The cells of one model and task.
        metric: A metric whose variants are `<line><budget>`.
        labels: Labels of the methods to read, or None for all.
        line: How the variants of the curve begin.
        area: The variant that holds the area under the curve.
    """
    read = []
    for label, record, score in scored_cells(group, metric, labels):
        on_line = [(a.variant.removeprefix(line), a) for a in score.aggregates if a.variant.startswith(line)]
        points = sorted((float(tick), a) for tick, a in on_line if tick.replace(".", "").isdigit())
        if points:
            budgets, aggregates = zip(*points, strict=True)
            value, low, high = (tuple(getattr(a, side) for a in aggregates) for side in ("value", "low", "high"))
            read.append(BudgetCurve(label, budgets, value, low, high, read_entry(record, metric, area).value))
    return sorted(read, key=lambda curve: (-curve.area if curve.area == curve.area else math.inf, curve.label))


def curve_figure(
    group: ComparableCells, metric: str = "retention_curve", labels: Sequence[str] | None = None, unit: Unit = "nodes"
) -> Figure:
    """Draws the curves of all methods of a task in one figure.

    Args:
        group: The cells of one model and task.
        metric: `retention_curve` or `deletion_curve`.
        labels: Labels of the methods to draw, or None for all.
        unit: Whether nodes or attention heads are kept or removed.

    Raises:
        UsageError: No cell has scores by the metric for this unit.
    """
    shown = curves(group, metric, labels, f"{UNITS[unit]}{BUDGET}", f"{UNITS[unit]}auc")
    if not shown:
        raise no_scores(group.task, metric, unit)
    figure = new_figure(8.6, 4.4)
    axes = add_axes(figure, 0.75, 0.65, 4.7, 3.2)
    order = sorted(group.labels)
    for curve in shown:
        draw_curve(axes, curve, order.index(curve.label))
    _draw_references(axes, group)
    tidy(axes)
    axes.set_xlim(0, 100)
    axes.set_ylim(-0.02, 1.04)
    axes.set_xlabel(f"share of {unit} {CURVES[metric]} (%)", fontsize=NORMAL)
    axes.set_ylabel("accuracy (share of instances)", fontsize=NORMAL)
    axes.legend(loc="upper left", bbox_to_anchor=(1.18, 1), borderaxespad=0, fontsize=SMALL, frameon=False, handlelength=3.2,
                title="area under the curve, method", title_fontsize=SMALL, alignment="left")  # fmt: skip
    of_heads = " of heads" if unit == "heads" else ""
    title = f"{metric.replace('_', ' ').capitalize()}{of_heads}   {group.task}   {group.model}"
    add_text(figure, 0.2, 4.1, title, fontsize=LARGE, color=INK, va="bottom")
    count = f"{group.instances} instances. Bands: 95 % intervals."
    add_text(figure, 0.75, 3.92, count, fontsize=SMALL, color=GREY, va="bottom")
    return figure


def draw_curve(axes: Axes, curve: BudgetCurve, index: int) -> None:
    """Draws a curve; `index` is the method's among all of its group, so that it looks the same whichever others are shown."""
    colour, line = line_style(index)
    label = f"{curve.area:.3f}  {curve.label}" if curve.area == curve.area else curve.label
    axes.fill_between(curve.budgets, curve.low, curve.high, color=colour, alpha=0.12, lw=0)
    axes.plot(curve.budgets, curve.values, color=colour, ls=line, lw=1.8, label=label)


def _draw_references(axes: Axes, group: ComparableCells) -> None:
    """Draws the accuracies of the whole model and of chance as thin lines."""
    for variant, name in (("original", "whole model"), ("chance", "chance")):
        aggregate = group.first_aggregate(ABLATED, variant)
        if aggregate is not None:
            axes.axhline(aggregate.value, color=GREY, lw=0.8, ls=":")
            axes.text(100.6, aggregate.value, name, fontsize=SMALL, color=GREY, va="center", ha="left")
