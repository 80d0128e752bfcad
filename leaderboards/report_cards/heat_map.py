"""The heat map of how far the orders of methods by every two metrics agree."""

from __future__ import annotations

import matplotlib
import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from ..figures.style import GREY, INK, NORMAL, SMALL, add_axes, add_task_head, add_text, new_figure, plain

CELL = 0.3
"""Width and height of an entry, in inches."""
NAMES, TOP, BAR = 2.9, 0.8, 0.14
"""Room for the names, above the map, and the width of the colour bar, in inches."""
DIVERGING = "RdBu"
UNDEFINED = "#EEEEEE"


def correlation_figure(table: pd.DataFrame) -> Figure:
    """Draws the correlations: blue where two metrics order methods alike, red where one turns the order of the other.

    Args:
        table: Square, with the names of the metrics; NaN where it is undefined, which is drawn grey.
    """
    values, side = table.to_numpy(float), CELL * len(table)
    figure = new_figure(NAMES + side + 1.0, TOP + side + NAMES)
    axes = add_axes(figure, NAMES, NAMES, side, side)
    colours = matplotlib.colormaps[DIVERGING].with_extremes(bad=UNDEFINED)
    image = axes.imshow(np.ma.masked_invalid(values), cmap=colours, vmin=-1, vmax=1, aspect="auto", interpolation="nearest")
    names, places = [plain(name) for name in table.index], range(len(table))
    axes.set_yticks(places, names, fontsize=SMALL)
    axes.set_xticks(places, names, fontsize=SMALL, rotation=90)
    axes.tick_params(length=0, pad=3, colors=INK)
    axes.spines[:].set(color=GREY, linewidth=0.6)
    for row, column in zip(*np.nonzero(np.isfinite(values) & ~np.eye(len(table), dtype=bool)), strict=True):
        strong = abs(values[row, column]) > 0.6
        text = f"{100 * values[row, column]:.0f}"
        axes.text(column, row, text, ha="center", va="center", fontsize=6, color="white" if strong else INK)
    width, height = figure.get_size_inches()
    bar = figure.colorbar(image, cax=figure.add_axes(((NAMES + side + 0.15) / width, NAMES / height, BAR / width, side / height)))
    bar.set_ticks([-1, 0, 1])
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=SMALL, colors=INK)
    add_task_head(figure, "Which metrics order methods alike", "Kendall's tau-b times 100, mean over tasks; grey: undefined.")
    add_text(figure, 0.2, 0.12, "Larger is better after turning metrics of which less is better.", fontsize=NORMAL, color=GREY)
    return figure
