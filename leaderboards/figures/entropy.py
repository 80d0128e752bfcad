"""Pattern entropy against influence over the slots of tasks, and against mean q over tasks (Fig. 5 of Lu et al. 2021)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from scipy.stats import linregress

from ..stored.comparable_cells import ComparableCells, find_score
from ..tables.columns import PATTERNS
from ..tables.entries import read_entry
from .source import no_scores
from .style import GREY, INK, LARGE, MARKERS, METHODS, NORMAL, SMALL, add_axes, add_text, line_style, new_figure, tidy

METRIC = "pattern_entropy"
SHOWN = (PATTERNS, "attention")
"""The methods in both panels; influence and q are those of the first."""
SLOT, INFLUENCE = "slot/", "influence/"
"""How the variants of the metric begin that hold a slot's entropy and its influence."""


class EntropyPoint(NamedTuple):
    """One slot of a task, or one task.

    Attributes:
        name: The task, with the slot where the point is a slot.
        x: Mean |g| of the slot, or mean q of the task, in units of q.
        y: Pattern entropy in bits.
    """

    name: str
    x: float
    y: float


def slot_points(groups: Sequence[ComparableCells], method: str) -> list[EntropyPoint]:
    """Mean |g| and pattern entropy of every slot that has influence.

    Args:
        groups: The cells of several tasks.
        method: The method whose entropies are read; |g| is always read from `influence-patterns`.
    """
    points = []
    for group in groups:
        record = group.of_method(method)
        score = find_score(record, METRIC) if record else None
        for aggregate in score.aggregates if score else ():
            slot = aggregate.variant.removeprefix(SLOT)
            if not aggregate.variant.startswith(SLOT) or slot.endswith("/used"):
                continue
            influence = read_entry(group.of_method(PATTERNS), METRIC, INFLUENCE + slot)
            if influence.known and influence.value > 0 and not math.isnan(aggregate.value):
                points.append(EntropyPoint(f"{group.task} {slot}", influence.value, aggregate.value))
    return points


def task_points(groups: Sequence[ComparableCells], method: str) -> list[EntropyPoint]:
    """Mean q and entropy of the union of Pi_+, the patterns with positive influence, of every task.

    Args:
        groups: The cells of several tasks.
        method: The method whose entropies are read; q is always read from `influence-patterns`.
    """
    points = []
    for group in groups:
        q, entropy = read_entry(group.of_method(PATTERNS), METRIC, "q"), read_entry(group.of_method(method), METRIC, "union")
        if q.known and entropy.known:
            points.append(EntropyPoint(group.task, q.value, entropy.value))
    return points


def fit_line(points: Sequence[EntropyPoint]) -> Any:
    """A line by least squares with Pearson's r, as SciPy returns it; None for fewer than three points or equal x or y.

    >>> float(fit_line([EntropyPoint("a", 0, 1), EntropyPoint("b", 1, 3), EntropyPoint("c", 2, 5)]).slope)
    2.0
    """
    x, y = [p.x for p in points], [p.y for p in points]
    return None if len(points) < 3 or len(set(x)) < 2 or len(set(y)) < 2 else linregress(x, y)


def entropy_figure(groups: Sequence[ComparableCells], unit: str = "logits") -> Figure:
    """Draws both panels, with a fitted line for every method.

    Raises:
        UsageError: No cell has scores by pattern_entropy.
    """
    slots = {method: slot_points(groups, method) for method in SHOWN}
    tasks = {method: task_points(groups, method) for method in SHOWN}
    if not any((*slots.values(), *tasks.values())):
        raise no_scores(PATTERNS, METRIC)
    figure = new_figure(10.4, 5.0)
    left, right = add_axes(figure, 0.75, 0.6, 4.2, 3.2), add_axes(figure, 5.95, 0.6, 4.2, 3.2)
    _draw(left, slots, f"mean |g| of the slot's word ({unit})", "Each point is one slot of one task")
    _draw(right, tasks, f"mean q of the task ({unit})", "Each point is one task")
    _name_points(right, next(iter(tasks.values())))
    for axes, sets in ((left, slots), (right, tasks)):
        axes.set_ylabel("pattern entropy (bits per node)", fontsize=NORMAL)
        axes.set_ylim(0, 1.15 * max((p.y for points in sets.values() for p in points), default=1.0) or 1.0)
    add_text(figure, 0.2, 4.66, f"Pattern entropy   {groups[0].model}", fontsize=LARGE, color=INK, va="bottom")
    return figure


def _draw(axes: Axes, points_of: dict[str, list[EntropyPoint]], label: str, title: str) -> None:
    """Draws the points of every method with the line through them."""
    tidy(axes)
    axes.set_title(title, fontsize=NORMAL, loc="left", color=GREY)
    axes.set_xlabel(label, fontsize=NORMAL)
    for index, (method, points) in enumerate(points_of.items()):
        if not points:
            continue
        line = fit_line(points)
        text = (
            f"{method}: r = {line.rvalue:.2f}, p = {line.pvalue:.2g}" if line is not None else f"{method}: no line can be fitted"
        )
        style: dict[str, Any] = {
            "color": line_style(index)[0],
            "marker": MARKERS[(index + index // len(METHODS)) % len(MARKERS)],
            "mec": "white",
            "mew": 0.6,
            "clip_on": False,
        }
        axes.plot([p.x for p in points], [p.y for p in points], ls="", ms=6.5, label=text, zorder=3, **style)
        if line is not None:
            ends = [min(p.x for p in points), max(p.x for p in points)]
            heights = [line.intercept + line.slope * x for x in ends]
            axes.plot(ends, heights, color=line_style(index)[0], lw=1.3, ls=("-", "--")[index % 2])
    axes.margins(x=0.08)
    axes.legend(fontsize=SMALL, frameon=False, loc="lower left", bbox_to_anchor=(-0.02, 1.07), borderaxespad=0)


def _name_points(axes: Axes, points: Sequence[EntropyPoint]) -> None:
    """Writes names beside points, alternately above and below from left to right, so that neighbours do not overlap."""
    for index, point in enumerate(sorted(points, key=lambda p: p.x)):
        offset, side = ((0, 7), "bottom") if index % 2 == 0 else ((0, -8), "top")
        halo = [withStroke(linewidth=2.5, foreground="white")]
        style: dict[str, Any] = {"fontsize": SMALL, "ha": "center", "va": side, "path_effects": halo, "zorder": 4}
        axes.annotate(point.name, (point.x, point.y), offset, textcoords="offset points", **style)
