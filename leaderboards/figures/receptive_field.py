"""Receptive fields: the distances between the tokens that the edges of each layer connect (figure 4 of Hao et al. 2021)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from ..stored.comparable_cells import ComparableCells
from ..tables.entries import TableEntry, read_entry
from .source import no_scores, scored_cells
from .style import INK, NORMAL, SMALL, add_axes, add_task_head, new_figure, tidy

METRIC = "receptive_field"
MEAN, CHANCE = "#D55E00", "#222222"
"""Colours of the mean distance of a layer's edges and of the mean distance of all pairs of tokens."""
COLUMNS = 3
"""The largest number of panels in a row."""


@dataclass(frozen=True)
class ReceptiveFieldMap:
    """The distances that one method's edges connect, by layer.

    Attributes:
        label: The method's label.
        bins: The largest distance of each bin: 1, 2, 4, 8, ... tokens.
        shares: Share of a layer's edges in each bin, of shape (bins, layers); NaN where a layer has no edges.
        means: Mean distance of the edges of each layer, in tokens.
        chance: Mean distance of all pairs of tokens that could be connected, for each layer.
    """

    label: str
    bins: tuple[int, ...]
    shares: np.ndarray
    means: tuple[TableEntry, ...]
    chance: tuple[float, ...]


def receptive_fields(group: ComparableCells, labels: Sequence[str] | None = None) -> list[ReceptiveFieldMap]:
    """Reads the receptive fields of a task's methods in order of their labels; `labels` limits which are read."""
    read = []
    for label, record, score in scored_cells(group, METRIC, labels):
        values = {a.variant: a.value for a in score.aggregates}
        n_layers = max(int(layer) for variant in values for layer in re.findall(r"^layer/(\d+)/mean$", variant))
        names = [v.removeprefix("layer/1/distance/") for v in values if v.startswith("layer/1/distance/")]
        layers = range(1, n_layers + 1)
        shares = np.array([[values[f"layer/{layer}/distance/{name}"] for layer in layers] for name in names])
        means = tuple(read_entry(record, METRIC, f"layer/{layer}/mean") for layer in layers)
        chance = tuple(mean.value / values[f"layer/{layer}/relative"] for layer, mean in zip(layers, means, strict=True))
        bins = tuple(int(name.split("-")[-1]) for name in names)
        read.append(ReceptiveFieldMap(label, bins, shares, means, chance))
    return read


def receptive_figure(group: ComparableCells, labels: Sequence[str] | None = None) -> Figure:
    """Draws a panel for each method: how the edges of each layer spread over distances, and their mean beside that of all pairs.

    Raises:
        UsageError: No cell has scores by receptive_field.
    """
    shown = receptive_fields(group, labels)
    if not shown:
        raise no_scores(group.task, METRIC)
    columns = min(COLUMNS, len(shown))
    rows = -(-len(shown) // columns)
    height = 0.62 + (rows - 1) * 2.75 + 2.05 + 0.95
    most = max(float(np.nanmax(field.shares)) for field in shown)
    figure = new_figure(max(0.75 + columns * 3.25 + 0.75, 6.4), height)
    for index, field in enumerate(shown):
        row, column = divmod(index, columns)
        axes = add_axes(figure, 0.75 + column * 3.25, 0.62 + (rows - 1 - row) * 2.75, 2.75, 2.05)
        colours = _draw(axes, field, most)
        if column == 0:
            axes.set_ylabel("distance (tokens)", fontsize=NORMAL)
        if index + columns >= len(shown):
            axes.set_xlabel("layer", fontsize=NORMAL)
    bar = add_axes(figure, 0.75 + columns * 3.25 - 0.25, 0.62 + (rows - 1) * 2.75, 0.1, 2.05)
    figure.colorbar(colours, cax=bar, ticks=MaxNLocator(4)).outline.set_visible(False)
    bar.tick_params(labelsize=SMALL, length=0)
    bar.set_title("share of edges", fontsize=SMALL, color=INK)
    note = f"{group.instances} instances. Solid: mean distance with its 95 % interval. Dotted: mean distance of all pairs."
    add_task_head(figure, f"Receptive field   {group.task}   {group.model}", note)
    return figure


def _draw(axes: Axes, field: ReceptiveFieldMap, most: float) -> QuadMesh:
    """Draws one method; the bin of distances up to 2^k ends at height k, so that a mean distance d stands at log2 d."""
    tidy(axes)
    layers = np.arange(1, len(field.means) + 1)
    edges = np.arange(-1, len(field.bins))
    colours = axes.pcolormesh(np.arange(len(layers) + 1) + 0.5, edges, field.shares, cmap="Blues", vmin=0, vmax=most)
    mean, low, high = (np.log2([getattr(cell, side) for cell in field.means]) for side in ("value", "low", "high"))
    axes.plot(layers, np.log2(field.chance), color=CHANCE, lw=1.1, ls=":")
    axes.errorbar(layers, mean, [mean - low, high - mean], color=MEAN, lw=1.6, marker="o", ms=3.5, capsize=2, elinewidth=0.9)
    axes.set_title(field.label, fontsize=NORMAL, loc="left", color=INK)
    names = [str(high) if high <= 2 else f"{high // 2 + 1}\N{EN DASH}{high}" for high in field.bins]  # 1, 2, 3–4, 5–8, ...
    axes.set_yticks(edges[:-1] + 0.5, names, fontsize=SMALL)
    axes.set_xticks(layers, [str(layer) for layer in layers], fontsize=SMALL)
    axes.set_ylim(edges[0], edges[-1])
    return colours
