"""Pattern entropy against influence over slots, and against mean q over tasks (Fig. 5 of Lu et al. 2021)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from scipy.stats import linregress

from ...core.errors import UsageError
from ..stored.comparable_cells import ComparableCells, find_score
from ..tables.columns import PATTERNS
from ..tables.task_tables import read_cell
from .style import GREY, INK, LARGE, MARKERS, METHODS, NORMAL, SMALL, add_axes, add_text, look, new_figure, tidy

METRIC = "pattern_entropy"
SHOWN = (PATTERNS, "attention")
"""Methods in both panels; one's influence and q are measured by the first."""
SLOT, INFLUENCE = "slot/", "influence/"


class Point(NamedTuple):
    """One slot of a task, or one task: influence or q, and entropy (bits)."""

    name: str
    x: float
    y: float


@dataclass(frozen=True)
class LinearFit:
    """A straight line through points, with Pearson's r and its two-sided p; NaN where it cannot be fitted."""

    slope: float
    intercept: float
    r: float
    p: float


def slot_points(groups: Sequence[ComparableCells], method: str) -> list[Point]:
    """(mean |g|, entropy of the word's pattern) of every slot with influence; |g| is stored with `influence-patterns`."""
    found = []
    for group in groups:
        score, record = None, group.of_method(method)
        if record is not None:
            score = find_score(record, METRIC)
        for aggregate in score.aggregates if score is not None else ():
            slot = aggregate.variant.removeprefix(SLOT)
            if not aggregate.variant.startswith(SLOT) or slot.endswith("/used"):
                continue
            influence = read_cell(group.of_method(PATTERNS), METRIC, INFLUENCE + slot)
            if influence.known and influence.value > 0 and not math.isnan(aggregate.value):
                found.append(Point(f"{group.task} {slot}", influence.value, aggregate.value))
    return found


def task_points(groups: Sequence[ComparableCells], method: str) -> list[Point]:
    """(mean q, entropy of the union of Pi_+) of every task."""
    found = []
    for group in groups:
        q, entropy = read_cell(group.of_method(PATTERNS), METRIC, "q"), read_cell(group.of_method(method), METRIC, "union")
        if q.known and entropy.known:
            found.append(Point(group.task, q.value, entropy.value))
    return found


def fit(points: Sequence[Point]) -> LinearFit:
    """Least squares; NaN for fewer than three points, or where x or y does not vary.

    >>> fit([Point("a", 0, 1), Point("b", 1, 3), Point("c", 2, 5)]).slope
    2.0
    """
    x, y = [p.x for p in points], [p.y for p in points]
    if len(points) < 3 or len(set(x)) < 2 or len(set(y)) < 2:
        return LinearFit(math.nan, math.nan, math.nan, math.nan)
    found = linregress(x, y)
    return LinearFit(float(found.slope), float(found.intercept), float(found.rvalue), float(found.pvalue))


def entropy_figure(groups: Sequence[ComparableCells], unit: str = "logits") -> Figure:
    """Both panels, every method with its fitted line.

    Raises:
        UsageError: No cell is scored with pattern_entropy.
    """
    slots = {method: slot_points(groups, method) for method in SHOWN}
    tasks = {method: task_points(groups, method) for method in SHOWN}
    if not any((*slots.values(), *tasks.values())):
        raise UsageError(
            "no influence-patterns are scored with pattern_entropy; `flowgauge score STORE --metric pattern_entropy` does it."
        )
    figure = new_figure(10.4, 5.0)
    left, right = add_axes(figure, 0.75, 0.6, 4.2, 3.2), add_axes(figure, 5.95, 0.6, 4.2, 3.2)
    _draw(left, slots, f"mean |g| of the slot's word ({unit})", "a point is one slot of one task")
    _draw(right, tasks, f"mean q of the task ({unit})", "a point is one task")
    _name_points(right, next(iter(tasks.values())))
    for axes, sets in ((left, slots), (right, tasks)):
        axes.set_ylabel("pattern entropy (bits a node)", fontsize=NORMAL)
        axes.set_ylim(0, 1.15 * max((p.y for found in sets.values() for p in found), default=1.0) or 1.0)
    add_text(figure, 0.2, 4.66, f"Pattern entropy   {groups[0].model}", fontsize=LARGE, color=INK, va="bottom")
    return figure


def _draw(axes: Axes, points: dict[str, list[Point]], label: str, title: str) -> None:
    tidy(axes)
    axes.set_title(title, fontsize=NORMAL, loc="left", color=GREY)
    axes.set_xlabel(label, fontsize=NORMAL)
    for number, (method, found) in enumerate(points.items()):
        if not found:
            continue
        line = fit(found)
        text = f"{method}: r = {line.r:.2f}, p = {line.p:.2g}" if line.r == line.r else f"{method}: too few points for a line"
        style: dict[str, Any] = {
            "color": look(number)[0],
            "marker": MARKERS[(number + number // len(METHODS)) % len(MARKERS)],
            "mec": "white",
            "mew": 0.6,
            "clip_on": False,
        }
        axes.plot([p.x for p in found], [p.y for p in found], ls="", ms=6.5, label=text, zorder=3, **style)
        if line.r == line.r:
            ends = [min(p.x for p in found), max(p.x for p in found)]
            heights = [line.intercept + line.slope * x for x in ends]
            axes.plot(ends, heights, color=look(number)[0], lw=1.3, ls=("-", "--")[number % 2])
    axes.margins(x=0.08)
    axes.legend(fontsize=SMALL, frameon=False, loc="lower left", bbox_to_anchor=(-0.02, 1.07), borderaxespad=0)


def _name_points(axes: Axes, found: Sequence[Point]) -> None:
    """Names beside points, above and below in turn from left to right."""
    for number, point in enumerate(sorted(found, key=lambda p: p.x)):
        place, side = ((0, 7), "bottom") if number % 2 == 0 else ((0, -8), "top")
        halo = [withStroke(linewidth=2.5, foreground="white")]
        style: dict[str, Any] = {"fontsize": SMALL, "ha": "center", "va": side, "path_effects": halo, "zorder": 4}
        axes.annotate(point.name, (point.x, point.y), place, textcoords="offset points", **style)
