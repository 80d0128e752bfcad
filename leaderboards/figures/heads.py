"""Maps of the attention and the attribution of single attention heads (Fig. 1 of Hao et al. 2021)."""

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
from .attribution import answer_line, edge_view
from .style import (
    GREY,
    INK,
    NEGATIVE,
    NORMAL,
    POSITIVE,
    SMALL,
    UNSIGNED,
    add_axes,
    add_sentence_head,
    add_text,
    new_figure,
    plain,
    with_ellipsis,
)

ATTENTION = "raw-attention"
"""The method whose edges are the attention weights of each head."""
SHOWN = 3
"""The number of layers whose strongest head is shown."""
CELL, LABELS, GAP, BAR, TOP, BOTTOM = 0.21, 0.85, 0.75, 0.09, 1.05, 0.95
"""Inches: side of a map's cell, width of the words, space between maps, width of a colour bar, space above and below the maps."""
WORD = 11
"""The largest number of characters of a word that fits beside a map."""
SEQUENTIAL = LinearSegmentedColormap.from_list("flowgauge-sequential", ["white", UNSIGNED, "#00344F"])
DIVERGING = LinearSegmentedColormap.from_list("flowgauge-diverging", [NEGATIVE, "white", POSITIVE])
Map = Float[np.ndarray, "rows columns"]


@dataclass(frozen=True, eq=False)
class HeadMap:
    """The maps of one attention head on one sentence.

    Attributes:
        layer: Index of the head's layer, from 0.
        head: Index of the head in its layer, from 0.
        score: The head's strength.
        attribution: Scores of its edges; rows are queries and columns keys.
        attention: Its attention weights, or None where they are not stored.
    """

    layer: int
    head: int
    score: float
    attribution: Map
    attention: Map | None


@dataclass(frozen=True, eq=False)
class HeadOverview:
    """The heads of one sentence, ready to be drawn.

    Attributes:
        title: Method and instance.
        subtitle: The explained answer, its value, and whether the model is right.
        words: The text of each row and column.
        importance: Score of each head, of shape (layers, heads).
        heads: The heads whose maps are shown, the strongest first.
    """

    title: str
    subtitle: str
    words: tuple[str, ...]
    importance: Map
    heads: tuple[HeadMap, ...]


def head_overview(
    method: str, sentence: ExplainedSentence, explanation: Explanation, attention: Explanation | None = None, shown: int = SHOWN
) -> HeadOverview:
    """Chooses the strongest head of each of the `shown` layers with the strongest heads.

    A head's strength is the method's own score of it, or the largest score of its edges where the method does not score heads.

    Args:
        method: The method's label.
        sentence: The explained sentence.
        explanation: Its explanation, with edges.
        attention: Its attention weights as an explanation, where they are stored.
        shown: The number of heads to show.

    Raises:
        NotApplicable: The method has no edges, or does not score the edges of each head separately.
    """
    edges, first = edge_view(explanation), explanation.each()[0]
    if edges.shape[1] == 1 and (first.heads is None or first.heads.shape[1] != 1):
        raise NotApplicable("the method's edges are sums over heads: it does not score the edges of each head.")
    importance = edges.max((2, 3)) if first.heads is None else first.heads
    weights = None if attention is None else edge_view(attention)
    best, heads = importance.argmax(1), []
    for layer in np.argsort(-importance.max(1), kind="stable")[:shown].tolist():
        head = int(best[layer])
        weight = None if weights is None or weights.shape != edges.shape else weights[layer, head]
        heads.append(HeadMap(layer, head, float(importance[layer, head]), edges[layer, head], weight))
    return HeadOverview(
        f"{method}   {sentence.id}", answer_line(sentence, explanation), sentence.tokens, importance, tuple(heads)
    )


def heads_figure(maps: HeadOverview) -> Figure:
    """Draws the scores of all heads, then one column for each chosen head: its attention above its attribution."""
    side, n_heads = CELL * len(maps.words), maps.importance.shape[1]
    rows = 2 if all(head.attention is not None for head in maps.heads) else 1
    overview = 0.55 + max(CELL * n_heads, 1.6) + 0.6
    step = side + BAR + GAP
    figure = new_figure(overview + LABELS + len(maps.heads) * step, TOP + BOTTOM + rows * side + (rows - 1) * GAP * 0.7)
    add_sentence_head(figure, maps.title, maps.subtitle)
    top = float(figure.get_size_inches()[1]) - TOP
    _draw_overview(figure, maps, top)
    for index, head in enumerate(maps.heads):
        _draw_head(figure, maps, head, overview + LABELS + index * step, top, first=index == 0)
    if rows == 1:
        note = f"Run --method {ATTENTION} into the same store to see attention above attribution."
        add_text(figure, 0.12, 0.08, note, fontsize=SMALL, color=GREY, va="bottom")
    return figure


def _draw_head(figure: Figure, maps: HeadOverview, head: HeadMap, left: float, top: float, *, first: bool) -> None:
    """Draws attention above attribution; words stand beside the first head's maps and below the lowest map."""
    side = CELL * len(maps.words)
    shown = [("attribution", head.attribution, DIVERGING, np.abs(head.attribution).max())]
    if head.attention is not None:
        shown.insert(0, ("attention", head.attention, SEQUENTIAL, head.attention.max()))
    for index, (name, values, colours, largest) in enumerate(shown):
        bottom = top - side - index * (side + GAP * 0.7)
        axes = _heat(figure, values, left, bottom, float(largest) or 1.0, colours)
        _bar(axes)
        axes.set_title(f"{name}, layer {head.layer + 1} head {head.head + 1}", fontsize=NORMAL, color=INK, pad=6)
        axes.set_gid(f"{name}-{head.layer}-{head.head}")
        words = [plain(with_ellipsis(word, WORD)) for word in maps.words]
        axes.set_yticks(range(len(words)), words if first else [""] * len(words), fontsize=SMALL)
        below = index == len(shown) - 1
        axes.set_xticks(range(len(words)), words if below else [""] * len(words), fontsize=SMALL, rotation=90)


def _draw_overview(figure: Figure, maps: HeadOverview, top: float) -> None:
    """Draws the scores of all heads as shares of their layer's largest score, which stands at the right.

    Layers differ by orders of magnitude, so that one scale for all would leave most of them white.
    """
    (n_layers, n_heads), largest = maps.importance.shape, np.abs(maps.importance).max(1, keepdims=True)
    shares = np.divide(maps.importance, largest, out=np.zeros_like(maps.importance), where=largest > 0)
    axes = _heat(figure, shares, 0.55, top - CELL * n_layers, 1.0, DIVERGING)
    axes.set_yticks(range(n_layers), [str(layer + 1) for layer in range(n_layers)], fontsize=SMALL)
    axes.set_xticks(range(n_heads), [str(head + 1) for head in range(n_heads)], fontsize=SMALL)
    axes.set_ylabel("layer", fontsize=SMALL, labelpad=2)
    axes.set_xlabel("head; colour: share of its layer's largest", fontsize=SMALL, labelpad=2)
    axes.set_title("largest attribution", fontsize=NORMAL, color=INK, pad=6)
    for layer, value in enumerate(largest[:, 0]):
        axes.text(n_heads - 0.3, layer, f"{value:.2g}", fontsize=6.5, color=INK, va="center")
    for head in maps.heads:
        axes.add_patch(Rectangle((head.head - 0.5, head.layer - 0.5), 1, 1, fill=False, ec=INK, lw=1.3))


def _heat(figure: Figure, values: Map, left: float, bottom: float, largest: float, colours: Colormap) -> Axes:
    """Draws a map; the colours of signed values are white at 0."""
    rows, columns = values.shape
    axes = add_axes(figure, left, bottom, CELL * columns, CELL * rows)
    lowest = 0.0 if colours is SEQUENTIAL else -largest
    axes.imshow(values, cmap=colours, vmin=lowest, vmax=largest, aspect="auto", interpolation="nearest")
    axes.tick_params(length=0, pad=2, colors=INK)
    axes.spines[:].set(color=GREY, linewidth=0.6)
    return axes


def _bar(axes: Axes) -> None:
    """Adds a colour bar at the right of a map."""
    (image,), figure = axes.images, axes.figure
    box, (width, _) = axes.get_position(), figure.get_size_inches()  # type: ignore[union-attr]
    bar = figure.colorbar(image, cax=figure.add_axes((box.x1 + 0.06 / width, box.y0, BAR / width, box.height)))
    lowest, largest = image.get_clim()
    ticks = [lowest, 0.0, largest] if lowest else [0.0, largest]
    bar.set_ticks(ticks, labels=[f"{tick:.2g}" for tick in ticks])
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=6.5, pad=2, colors=INK)
