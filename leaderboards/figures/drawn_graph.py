"""Draws the layered flow graph: tokens as rows, layers from left to right, skip connections dashed, heads numbered from 1."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from ...models.flow.graph import ALL_HEADS, NO_EDGE, SKIP
from .pattern_strokes import Stroke
from .style import FAINT, GREY, INK, NEGATIVE, NORMAL, POSITIVE, SMALL, UNSIGNED

ROW = 0.36
"""Height of a token's row in inches."""
HEAD_RADIUS = 0.085
"""Radius of a head's circle in inches; two heads, or a head and a skip connection, fit into a row."""
THIN, THICK = 1.8, 7.0
"""Line widths in points of the smallest and the largest weight."""
DASHES = (6.0, 3.5)
"""Length of dashes and gaps in points."""
CORE = 0.42
"""Share of a negative line's width that is white."""
LEGEND_WIDTH = 4.75
"""Inches that the legend of the lines takes, so that graphs of few layers are drawn as wide."""
Point = tuple[float, float]
"""Inches from the left and from the top."""


@dataclass(frozen=True)
class Grid:
    """Where nodes stand, in inches from the left and from the top.

    Attributes:
        n_layers: The number of the model's layers.
        n_tokens: The number of rows.
        column: Width of a layer in inches; layers of shallow models are wider, so that the legend has room.
    """

    n_layers: int
    n_tokens: int
    column: float = 0.95

    def __post_init__(self) -> None:
        object.__setattr__(self, "column", max(self.column, (LEGEND_WIDTH - 0.6) / self.n_layers))

    @property
    def width(self) -> float:
        """Width from the first to the last layer, with a margin at both sides, in inches."""
        return self.n_layers * self.column + 0.6

    @property
    def height(self) -> float:
        """Height of all rows in inches."""
        return self.n_tokens * ROW

    def node(self, layer: int, position: int) -> Point:
        """The centre of hidden[layer][position]."""
        return 0.25 + layer * self.column, (position + 0.5) * ROW


class Segment(NamedTuple):
    """A straight line of a stroke, in inches.

    Lines of both signs between the same nodes lie side by side, in lanes -1 and +1; all others lie in lane 0.
    """

    start: Point
    end: Point
    sign: int
    weight: float
    lane: int
    name: str


def head_points(strokes: Sequence[Stroke], grid: Grid) -> dict[tuple[int, int, int], Point]:
    """Where each head node (layer, position, code) stands: in the row of its position, before the next layer.

    A single head without a skip connection stands on the row's line; otherwise heads stand above and below it, two in a column.
    """
    heads: dict[tuple[int, int], set[int]] = {}
    skips = {(s.layer, s.to) for s in strokes if s.code == SKIP}
    for stroke in strokes:
        if stroke.code not in (SKIP, NO_EDGE):
            heads.setdefault((stroke.layer, stroke.to), set()).add(stroke.code)
    points = {}
    for (layer, to), codes in heads.items():
        x, y = grid.node(layer + 1, to)
        single = len(codes) == 1 and (layer, to) not in skips
        for index, code in enumerate(sorted(codes)):
            across, down = divmod(index, 2)
            step = 0.0 if single else (down * 2 - 1) * (HEAD_RADIUS + 0.015)
            points[layer, to, code] = (x - 0.30 - across * (2 * HEAD_RADIUS + 0.03), y + step)
    return points


def draw_graph(
    axes: Axes,
    strokes: Sequence[Stroke],
    grid: Grid,
    target: int,
    *,
    signed: bool = True,
    largest: float | None = None,
    faint: Collection[int] = (),
) -> None:
    """Draws strokes onto axes that have the grid's size in inches.

    Args:
        axes: Empty axes.
        strokes: The edges; they are drawn from thick to thin, so that none is hidden.
        grid: Where the nodes stand.
        target: The position that q reads; its row ends in q.
        signed: Whether colour means sign; otherwise every line is blue.
        largest: The weight of the thickest line; by default the largest weight there is.
        faint: Rows whose word is left out.
    """
    axes.set_xlim(0, grid.width)
    axes.set_ylim(grid.height, 0)
    _frame(axes, grid, target, faint)
    drawn = segments(strokes, grid)
    largest = largest or max((segment.weight for segment in drawn), default=1.0) or 1.0
    for segment in drawn:
        _draw_segment(axes, segment, line_width(segment.weight, largest), signed)
    for (layer, to, code), point in head_points(strokes, grid).items():
        _draw_head(axes, code, point, f"head-{layer + 1}-{to}-{code + 1 if code >= 0 else 'all'}")
    _draw_used(axes, strokes, grid)


def line_width(weight: float, largest: float) -> float:
    """Width of a line in points: `THIN` for a weight of 0, `THICK` for the largest weight and above.

    >>> line_width(0.0, 2.0), line_width(2.0, 2.0)
    (1.8, 7.0)
    """
    return THIN + (THICK - THIN) * min(weight / largest, 1.0)


def dashed(width: float) -> tuple[int, tuple[float, ...]]:
    """A dash pattern whose dashes and gaps have the same lengths at any line width.

    >>> dashed(2.0)
    (0, (3.0, 1.75))
    """
    return 0, tuple(length / width for length in DASHES)


def add_legend(axes: Axes, strokes: Sequence[Stroke], signed: bool, below: float) -> None:
    """Adds a legend of the lines, `below` inches under the axes; skip connections and heads only where there are any."""
    hollow = (Line2D([], [], color=NEGATIVE, lw=4), Line2D([], [], color="white", lw=4 * CORE))
    entries: dict[str, Any] = {"no sign": Line2D([], [], color=UNSIGNED, lw=4)}
    if signed:
        entries = {"positive": Line2D([], [], color=POSITIVE, lw=4), "negative (hollow)": hollow}
    codes = {stroke.code for stroke in strokes}
    if SKIP in codes:
        entries["skip connection"] = Line2D([], [], color=GREY, lw=2.5, ls=dashed(2.5))
    if codes - {SKIP, NO_EDGE}:
        circle = {"marker": "o", "markersize": 9, "markerfacecolor": "white", "markeredgecolor": INK, "markeredgewidth": 0.7}
        entries["head (from 1)"] = Line2D([], [], color=GREY, lw=2, **circle)  # type: ignore[arg-type]
    height = axes.get_position().height * axes.figure.get_size_inches()[1]  # type: ignore[union-attr]
    position: dict[str, Any] = {"loc": "upper left", "bbox_to_anchor": (0, -below / height), "borderaxespad": 0, "borderpad": 0}
    style: dict[str, Any] = {"ncols": 4, "fontsize": SMALL, "frameon": False, "columnspacing": 1.4, "handlelength": 2.6}
    axes.legend(list(entries.values()), list(entries), **position, **style)


def _both_signs(strokes: Sequence[Stroke]) -> set[tuple[int, int, int, int]]:
    """Edges (layer, source, to, code) that are drawn with both signs, side by side."""
    seen: dict[tuple[int, int, int, int], set[int]] = {}
    for s in strokes:
        seen.setdefault((s.layer, s.source, s.to, s.code), set()).add(s.sign)
    return {edge for edge, signs in seen.items() if len(signs) == 2}


def segments(strokes: Sequence[Stroke], grid: Grid) -> list[Segment]:
    """Lines to draw, thickest first.

    An edge into a head node ends there, and from the head one line for each sign carries the sum of the weights onward.
    """
    heads, both = head_points(strokes, grid), _both_signs(strokes)
    lines, through = [], dict[tuple[int, int, int, int], float]()
    for s in strokes:
        lane = s.sign if (s.layer, s.source, s.to, s.code) in both else 0
        start, end = grid.node(s.layer, s.source), heads.get((s.layer, s.to, s.code), grid.node(s.layer + 1, s.to))
        kind = "skip" if s.code == SKIP else "edge"
        lines.append(Segment(start, end, s.sign, s.weight, lane, f"{kind}-{s.layer + 1}-{s.source}-{s.to}-{s.code}-{s.sign:+d}"))
        if (s.layer, s.to, s.code) in heads:
            key = (s.layer, s.to, s.code, s.sign)
            through[key] = through.get(key, 0.0) + s.weight
    for (layer, to, code, sign), weight in through.items():
        lane = sign if (layer, to, code, -sign) in through else 0
        name = f"on-{layer + 1}-{to}-{code}-{sign:+d}"
        lines.append(Segment(heads[layer, to, code], grid.node(layer + 1, to), sign, weight, lane, name))
    return sorted(lines, key=lambda segment: -segment.weight)


def _draw_segment(axes: Axes, segment: Segment, width: float, signed: bool) -> None:
    """Draws a segment in its lane; a negative one gets a white core, so that it looks hollow."""
    (x, y), line_up = np.array([segment.start, segment.end]).T, segment.lane * (width / 2 + 0.4) / 72
    across = np.array([-(y[1] - y[0]), x[1] - x[0]]) / np.hypot(x[1] - x[0], y[1] - y[0])
    x, y = x + across[0] * line_up, y + across[1] * line_up
    colour = (POSITIVE if segment.sign > 0 else NEGATIVE) if signed else UNSIGNED
    line = Line2D(x, y, color=colour, lw=width, zorder=2, solid_capstyle="butt", dash_capstyle="butt", clip_on=False)
    if segment.name.startswith("skip"):
        line.set_linestyle(dashed(width))
    line.set_gid(segment.name)
    axes.add_line(line)
    if signed and segment.sign < 0:
        axes.add_line(Line2D(x, y, color="white", lw=CORE * width, zorder=2, solid_capstyle="butt", clip_on=False))


def _draw_head(axes: Axes, code: int, point: Point, gid: str) -> None:
    """Draws a head as a circle with its number from 1, or with `all`."""
    text = "all" if code == ALL_HEADS else str(code + 1)
    circle = axes.plot(*point, "o", ms=144 * HEAD_RADIUS, mfc="white", mec=INK, mew=0.7, zorder=4, clip_on=False)[0]
    circle.set_gid(gid)
    axes.text(*point, text, ha="center", va="center_baseline", fontsize=SMALL if len(text) < 3 else 5.5, color=INK, zorder=5)


def _draw_used(axes: Axes, strokes: Sequence[Stroke], grid: Grid) -> None:
    """Draws the nodes that strokes pass through."""
    used = {(s.layer, s.source) for s in strokes} | {(s.layer + 1, s.to) for s in strokes}
    for node in sorted(used):
        axes.plot(*grid.node(*node), "o", ms=5.5, mfc=INK, mec="white", mew=0.8, zorder=6)


def _frame(axes: Axes, grid: Grid, target: int, faint: Collection[int]) -> None:
    """Draws all nodes as faint dots, the numbers of the layers below, and q at the end of the target's row."""
    axes.spines[:].set_visible(False)
    layers = range(grid.n_layers + 1)
    columns = [grid.node(layer, 0)[0] for layer in layers]
    for position in range(grid.n_tokens):
        y = grid.node(0, position)[1]
        axes.plot([columns[0], columns[-1]], [y, y], color=FAINT, lw=0.5, zorder=0, alpha=0.5 if position in faint else 1)
        axes.plot(columns, [y] * len(columns), "o", ms=2.5, color=FAINT, zorder=1)
    x, y = grid.node(grid.n_layers, target)
    style: dict[str, Any] = {"fontsize": NORMAL, "va": "center", "ha": "center", "style": "italic"}
    axes.annotate("q", (x, y), (x + 0.28, y), arrowprops={"arrowstyle": "<-", "color": INK, "lw": 1}, **style)
    axes.set_xticks(columns, [str(layer) for layer in layers], fontsize=SMALL)
    axes.tick_params(axis="x", length=0, pad=2)
    axes.set_yticks([])
    axes.set_xlabel("layer", fontsize=SMALL, labelpad=2)
