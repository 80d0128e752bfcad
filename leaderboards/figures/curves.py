"""Retention and deletion curves: accuracy against the share of nodes kept or removed, with 95 % bands."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ...core.errors import UsageError
from ..columns import ABLATED
from ..groups import Group, find_score
from ..tables import read_cell
from .style import GREY, INK, LARGE, LINES, METHODS, NORMAL, SMALL, add_axes, add_text, new_figure, tidy

BUDGET = "budget/"
CURVES = {"retention_curve": "share of nodes kept (%)", "deletion_curve": "share of nodes removed (%)"}


@dataclass(frozen=True)
class Curve:
    """One method's curve.

    Attributes:
        label: The method.
        budgets: Percent of nodes, rising.
        values: Share of instances.
        low: Of the 95 % interval.
        high: Of the 95 % interval.
        area: Under the curve, NaN where not stored.
    """

    label: str
    budgets: tuple[float, ...]
    values: tuple[float, ...]
    low: tuple[float, ...]
    high: tuple[float, ...]
    area: float


def curves(group: Group, metric: str = "retention_curve", labels: Sequence[str] | None = None) -> list[Curve]:
    """The curves of a task's methods, largest area first."""
    found = []
    for label, record in group.by_label().items():
        score = find_score(record, metric)
        if score is None or score.status != "done" or (labels is not None and label not in labels):
            continue
        points = sorted((float(a.variant.removeprefix(BUDGET)), a) for a in score.aggregates if a.variant.startswith(BUDGET))
        if points:
            budgets, aggregates = zip(*points, strict=True)
            value, low, high = (tuple(getattr(a, side) for a in aggregates) for side in ("value", "low", "high"))
            found.append(Curve(label, budgets, value, low, high, read_cell(record, metric, "auc").value))
    return sorted(found, key=lambda curve: (-curve.area if curve.area == curve.area else math.inf, curve.label))


def curve_figure(group: Group, metric: str = "retention_curve", labels: Sequence[str] | None = None) -> Figure:
    """All methods of a task in one figure.

    Raises:
        UsageError: No cell is scored with the metric.
    """
    shown = curves(group, metric, labels)
    if not shown:
        raise UsageError(f"no cell of {group.task} is scored with {metric}; `flowgauge score STORE --metric {metric}` adds it.")
    figure = new_figure(8.6, 4.4)
    axes = add_axes(figure, 0.75, 0.65, 4.7, 3.2)
    order = sorted(group.labels)
    for curve in shown:
        _draw(axes, curve, order.index(curve.label))
    _draw_beside(axes, group)
    tidy(axes)
    axes.set_xlim(0, 100)
    axes.set_ylim(-0.02, 1.04)
    axes.set_xlabel(CURVES.get(metric, "budget (%)"), fontsize=NORMAL)
    axes.set_ylabel("accuracy (share of instances)", fontsize=NORMAL)
    axes.legend(loc="upper left", bbox_to_anchor=(1.14, 1), borderaxespad=0, fontsize=SMALL, frameon=False, handlelength=3.2,
                title="area, method", title_fontsize=SMALL, alignment="left")  # fmt: skip
    title = f"{metric.replace('_', ' ').capitalize()}   {group.task}   {group.model}"
    add_text(figure, 0.2, 4.1, title, fontsize=LARGE, color=INK, va="bottom")
    count = f"{group.instances} instances; bands are 95 % intervals"
    add_text(figure, 0.75, 3.92, count, fontsize=SMALL, color=GREY, va="bottom")
    return figure


def _draw(axes: Axes, curve: Curve, number: int) -> None:
    """A curve in its method's own colour and dashes, whichever others are shown."""
    colour, line = METHODS[number % len(METHODS)], LINES[number % len(LINES)]
    label = f"{curve.area:.3f}  {curve.label}" if curve.area == curve.area else curve.label
    axes.fill_between(curve.budgets, curve.low, curve.high, color=colour, alpha=0.12, lw=0)
    axes.plot(curve.budgets, curve.values, color=colour, ls=line, lw=1.8, label=label)


def _draw_beside(axes: Axes, group: Group) -> None:
    """The whole model and chance as thin lines."""
    for variant in ("original", "chance"):
        cells = (read_cell(record, ABLATED, variant) for record in group.records)
        cell = next((cell for cell in cells if cell.known), None)
        if cell is not None:
            axes.axhline(cell.value, color=GREY, lw=0.8, ls=":")
            axes.text(100.6, cell.value, variant, fontsize=SMALL, color=GREY, va="center", ha="left")
