"""Attention and attribution of single heads (Fig. 1 of Hao et al. 2021), for the strongest head of a few layers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ...benchmark.store.explanation_file import ExplainedSentence
from ...core.errors import NotApplicable
from ...methods.explanation import Explanation
from .attribution import edge_view, says
from .style import GREY, INK, LARGE, NEGATIVE, NORMAL, POSITIVE, SMALL, UNSIGNED, add_axes, add_text, new_figure, plain, shortened

ATTENTION = "raw-attention"
"""The method whose edges are attention weights head by head."""
SHOWN = 3
"""Layers whose strongest head is shown."""
CELL, LABELS, GAP, BAR, TOP, BOTTOM = 0.21, 0.85, 0.75, 0.09, 1.05, 0.95
"""Inches: a cell, the words beside the first map, between maps, a colour bar, above all maps and below them."""
WORD = 11
"""Characters of a word that fit."""
SEQUENTIAL = LinearSegmentedColormap.from_list("flowgauge-sequential", ["white", UNSIGNED, "#00344F"])
DIVERGING = LinearSegmentedColormap.from_list("flowgauge-diverging", [NEGATIVE, "white", POSITIVE])
Map = Float[np.ndarray, "rows columns"]


@dataclass(frozen=True, eq=False)
class HeadMap:
    """One head of a sentence: its number and its maps (row = query)."""

    layer: int
    head: int
    score: float
    attribution: Map
    attention: Map | None


@dataclass(frozen=True, eq=False)
class HeadMaps:
    """What is drawn of one sentence.

    Attributes:
        title: Method and instance.
        subtitle: What is explained and what the model says.
        words: Text of each row and column.
        importance: Score of each head (L, A).
        heads: Those whose maps are shown, first the strongest.
    """

    title: str
    subtitle: str
    words: tuple[str, ...]
    importance: Map
    heads: tuple[HeadMap, ...]


def make_maps(
    method: str, sentence: ExplainedSentence, explanation: Explanation, attention: Explanation | None = None, shown: int = SHOWN
) -> HeadMaps:
    """The strongest head of each of the layers with the strongest heads, and its attention where that is stored.

    A head's strength is the method's own score of it, else the largest of its edges.

    Raises:
        NotApplicable: The method's edges are not told apart by head.
    """
    edges, one = edge_view(explanation), explanation.each()[0]
    if edges.shape[1] == 1 and (one.heads is None or one.heads.shape[1] != 1):
        raise NotApplicable("the method's edges are not told apart by head.")
    importance = edges.max((2, 3)) if one.heads is None else one.heads
    weights = None if attention is None else edge_view(attention)
    best, heads = importance.argmax(1), []
    for layer in np.argsort(-importance.max(1), kind="stable")[:shown].tolist():
        head = int(best[layer])
        weight = None if weights is None or weights.shape != edges.shape else weights[layer, head]
        heads.append(HeadMap(layer, head, float(importance[layer, head]), edges[layer, head], weight))
    return HeadMaps(f"{method}   {sentence.id}", says(sentence, explanation), sentence.tokens, importance, tuple(heads))


def heads_figure(maps: HeadMaps) -> Figure:
    """All heads' scores, then one column a head: its attention above its attribution."""
    side, n_heads = CELL * len(maps.words), maps.importance.shape[1]
    rows = 2 if all(head.attention is not None for head in maps.heads) else 1
    overview = 0.55 + max(CELL * n_heads, 1.6) + 0.6
    step = side + BAR + GAP
    figure = new_figure(overview + LABELS + len(maps.heads) * step, TOP + BOTTOM + rows * side + (rows - 1) * GAP * 0.7)
    width, height = (float(x) for x in figure.get_size_inches())
    add_text(figure, 0.12, height - 0.12, shortened(maps.title, int(9.5 * width)), fontsize=LARGE, color=INK, va="top")
    add_text(figure, 0.12, height - 0.36, maps.subtitle, fontsize=SMALL, color=INK, va="top")
    top = height - TOP
    _draw_overview(figure, maps, top)
    for number, head in enumerate(maps.heads):
        _draw_head(figure, maps, head, overview + LABELS + number * step, top, number == 0)
    if rows == 1:
        note = f"a run with --method {ATTENTION} in the same store shows attention above"
        add_text(figure, 0.12, 0.08, note, fontsize=SMALL, color=GREY, va="bottom")
    return figure


def _draw_head(figure: Figure, maps: HeadMaps, head: HeadMap, left: float, top: float, first: bool) -> None:
    """Attention above attribution, words beside the first head and below the last map."""
    side = CELL * len(maps.words)
    shown = [("attribution", head.attribution, DIVERGING, np.abs(head.attribution).max())]
    if head.attention is not None:
        shown.insert(0, ("attention", head.attention, SEQUENTIAL, head.attention.max()))
    for number, (name, values, colours, largest) in enumerate(shown):
        bottom = top - side - number * (side + GAP * 0.7)
        axes = _heat(figure, values, left, bottom, float(largest) or 1.0, colours)
        _bar(axes)
        axes.set_title(f"{name}, layer {head.layer + 1} head {head.head + 1}", fontsize=NORMAL, color=INK, pad=6)
        axes.set_gid(f"{name}-{head.layer}-{head.head}")
        words = [plain(shortened(word, WORD)) for word in maps.words]
        axes.set_yticks(range(len(words)), words if first else [""] * len(words), fontsize=SMALL)
        below = number == len(shown) - 1
        axes.set_xticks(range(len(words)), words if below else [""] * len(words), fontsize=SMALL, rotation=90)


def _draw_overview(figure: Figure, maps: HeadMaps, top: float) -> None:
    """All heads, each layer in shares of its largest score, which stands at the right: layers differ by orders of magnitude."""
    (n_layers, n_heads), largest = maps.importance.shape, np.abs(maps.importance).max(1, keepdims=True)
    shares = np.divide(maps.importance, largest, out=np.zeros_like(maps.importance), where=largest > 0)
    axes = _heat(figure, shares, 0.55, top - CELL * n_layers, 1.0, DIVERGING)
    axes.set_yticks(range(n_layers), [str(layer + 1) for layer in range(n_layers)], fontsize=SMALL)
    axes.set_xticks(range(n_heads), [str(head + 1) for head in range(n_heads)], fontsize=SMALL)
    axes.set_ylabel("layer", fontsize=SMALL, labelpad=2)
    axes.set_xlabel("head, share of its layer's largest", fontsize=SMALL, labelpad=2)
    axes.set_title("largest attribution", fontsize=NORMAL, color=INK, pad=6)
    for layer, value in enumerate(largest[:, 0]):
        axes.text(n_heads - 0.3, layer, f"{value:.2g}", fontsize=6.5, color=INK, va="center")
    for head in maps.heads:
        axes.add_patch(Rectangle((head.head - 0.5, head.layer - 0.5), 1, 1, fill=False, ec=INK, lw=1.3))


def _heat(figure: Figure, values: Map, left: float, bottom: float, largest: float, colours: Colormap) -> Axes:
    """A map; signed ones are white at 0."""
    rows, columns = values.shape
    axes = add_axes(figure, left, bottom, CELL * columns, CELL * rows)
    lowest = 0.0 if colours is SEQUENTIAL else -largest
    axes.imshow(values, cmap=colours, vmin=lowest, vmax=largest, aspect="auto", interpolation="nearest")
    axes.tick_params(length=0, pad=2, colors=INK)
    for spine in axes.spines.values():
        spine.set_color(GREY)
        spine.set_linewidth(0.6)
    return axes


def _bar(axes: Axes) -> None:
    """The colour bar at a map's right."""
    (image,), figure = axes.images, axes.figure
    place, (width, _) = axes.get_position(), figure.get_size_inches()  # type: ignore[union-attr]
    bar = figure.colorbar(image, cax=figure.add_axes((place.x1 + 0.06 / width, place.y0, BAR / width, place.height)))
    lowest, largest = image.get_clim()
    ticks = [lowest, 0.0, largest] if lowest else [0.0, largest]
    bar.set_ticks(ticks, labels=[f"{tick:.2g}" for tick in ticks])
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=6.5, pad=2, colors=INK)
