"""Attribution graph and attribution tree of a sentence (Fig. 2 of Hao et al. 2021).

Words stand below and the root on top; the width of an edge is its score.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch

from ...benchmark.store.explanation_file import ExplainedSentence
from ...core.errors import NotApplicable
from ...methods.explanation import Explanation
from ...methods.gradients.attribution_graph import (
    TAU,
    AttributionGraph,
    AttributionTree,
    Edge,
    attribution_graph,
    attribution_tree,
    layer_scores,
)
from .style import (
    FAINT,
    GREY,
    INK,
    NORMAL,
    POSITIVE,
    SMALL,
    add_axes,
    add_sentence_head,
    add_text,
    new_figure,
    plain,
    with_ellipsis,
)

LAYER, LEFT, RIGHT, TOP, BELOW = 0.55, 0.5, 0.7, 0.62, 0.68
"""Inches: height of a layer; space left of the first word, right of the last, above the graph, and below each panel."""
THIN, THICK = 0.8, 5.0
"""Line widths in points of a score of 0 and of a layer's largest score."""
WORD = 11
"""The largest number of characters of a word that fits into its column."""


@dataclass(frozen=True, eq=False)
class AttributionDrawing:
    """The graph and the tree of one sentence, ready to be drawn.

    Attributes:
        title: Method and instance.
        subtitle: The explained answer, its value, and whether the model is right.
        words: The text below each column.
        graph: The attribution graph of the paper's Algorithm 1.
        tree: The attribution tree, or None for a single layer or a single token.
        tau: Only edges above this share of their layer's largest score are drawn.
    """

    title: str
    subtitle: str
    words: tuple[str, ...]
    graph: AttributionGraph
    tree: AttributionTree | None
    tau: float

    @property
    def column(self) -> float:
        """Width of a column in inches."""
        longest = max(len(with_ellipsis(word, WORD)) for word in self.words)
        return float(np.clip(0.082 * longest + 0.12, 0.5, 1.0))


def edge_view(explanation: Explanation) -> np.ndarray:
    """Edge scores of an explanation; of the first draw where there are several.

    Returns:
        An array of shape (layers, heads or 1, tokens, tokens); rows are queries and columns keys.

    Raises:
        NotApplicable: The explanation has no edges.
    """
    first = explanation.each()[0]
    if first.edges is None:
        raise NotApplicable(f"the method gives {', '.join(sorted(first.views))}; an attribution graph is read from edges.")
    return first.edges


def separators(sentence: ExplainedSentence) -> tuple[int, ...]:
    """Positions of the special tokens that end a text: all special tokens except the first token and the target."""
    special = [i for i, (_, word) in enumerate(sentence.words) if word < 0]
    return tuple(i for i in special if i not in (0, sentence.target))


def attribution_drawing(
    method: str, sentence: ExplainedSentence, explanation: Explanation, tau: float = TAU
) -> AttributionDrawing:
    """Computes the graph and the tree of a sentence under any method with edges.

    Args:
        method: The method's label.
        sentence: The explained sentence.
        explanation: Its explanation.
        tau: Only edges above this share of their layer's largest score enter the graph.

    Raises:
        NotApplicable: The method has no edges, or q reads several positions.
    """
    if sentence.target is None:
        raise NotApplicable("the explained quantity reads several positions, but an attribution graph has one root.")
    scores = layer_scores(edge_view(explanation))
    graph = attribution_graph(scores, sentence.target, tau=tau, separators=separators(sentence))
    tree = attribution_tree(scores, sentence.target, tau=tau) if min(len(scores), len(sentence.tokens)) > 1 else None
    return AttributionDrawing(
        title=f"{method}   {sentence.id}",
        subtitle=answer_line(sentence, explanation),
        words=sentence.tokens,
        graph=graph,
        tree=tree,
        tau=tau,
    )


def answer_line(sentence: ExplainedSentence, explanation: Explanation) -> str:
    """The explained answer with its value, and whether the model is right; else what the model predicts."""
    answer, values = " ".join(sentence.answer), explanation.each()[0].values
    if "probability" in values:
        answer = f"P({answer}) = {values['probability']:.3f}"
    elif "q" in values:
        answer = f"{answer}, q = {values['q']:.2f}"
    return f"{answer}{sentence.verdict}"


def attribution_figure(drawing: AttributionDrawing) -> Figure:
    """Draws the graph above the tree, both over the same words."""
    width, layers = drawing.column * len(drawing.words), drawing.graph.n_layers
    high = (LAYER * (layers + 0.75), LAYER * (layers - 0.25) if drawing.tree is not None else 0.0)
    whole = max(LEFT + width + RIGHT, 6.2)
    total = TOP + high[0] + BELOW + (high[1] + BELOW if high[1] else 0.0)
    figure = new_figure(whole, total)
    add_sentence_head(figure, drawing.title, drawing.subtitle)
    bottom = total - TOP - high[0]
    _draw_graph(add_axes(figure, LEFT, bottom, width, high[0]), drawing)
    note = f"Graph: edges above {drawing.tau:g} of their layer's largest score, in the last layer above 0."
    _note(figure, bottom, f"{note}\nWidth: that share. Dashed: a token's residual stream.")
    if drawing.tree is not None:
        bottom -= BELOW + high[1]
        _draw_tree(add_axes(figure, LEFT, bottom, width, high[1]), drawing, drawing.tree)
        note = f"Tree: each word is below the first word that gathers from it by an edge above {drawing.tau:g}"
        _note(figure, bottom, f"{note}\nof the largest edge outside the row of {drawing.words[drawing.graph.root]}.")
    return figure


def _note(figure: Figure, bottom: float, text: str) -> None:
    """Writes a note below the panel that ends at `bottom` (inches)."""
    add_text(figure, 0.12, bottom - 0.36, text, fontsize=SMALL, color=GREY, va="top")


def _frame(axes: Axes, drawing: AttributionDrawing, n_layers: int, in_use: Collection[int], edges: Sequence[Edge]) -> None:
    """Draws layers as faint lines with their numbers, words below, and each layer's largest score at the right."""
    width = drawing.column * len(drawing.words)
    axes.set_xlim(0, width)
    axes.set_ylim(-0.3 * LAYER, (n_layers + 0.45) * LAYER)
    axes.spines[:].set_visible(False)
    for depth in range(n_layers + 1):
        axes.plot([0, width], [depth * LAYER] * 2, color=FAINT, lw=0.6, zorder=0)
    axes.set_yticks([depth * LAYER for depth in range(n_layers + 1)], [str(d) for d in range(n_layers + 1)], fontsize=SMALL)
    axes.set_ylabel("layer", fontsize=SMALL, labelpad=2)
    words = [plain(with_ellipsis(word, WORD)) for word in drawing.words]
    axes.set_xticks([(i + 0.5) * drawing.column for i in range(len(words))], words, fontsize=NORMAL)
    axes.tick_params(length=0, pad=3)
    for i, label in enumerate(axes.get_xticklabels()):
        label.set_color(INK if i in in_use else GREY)
        label.set_fontweight("bold" if i == drawing.graph.root else "normal")
    style: dict[str, Any] = {"fontsize": SMALL, "color": GREY, "ha": "left", "va": "center"}
    for layer, largest in sorted({edge.layer: edge.score / edge.share for edge in edges}.items()):
        axes.text(width + 0.08, (layer + 0.5) * LAYER, f"{largest:.2g}", **style)
    axes.text(width + 0.08, n_layers * LAYER, "largest", **style)


def _draw_graph(axes: Axes, drawing: AttributionDrawing) -> None:
    """Draws the nodes and edges of the graph, and dashed lines where a token returns in a later layer."""
    graph = drawing.graph
    _frame(axes, drawing, graph.n_layers, {node.token for node in graph.nodes}, graph.edges)
    point = lambda token, depth: ((token + 0.5) * drawing.column, depth * LAYER)  # noqa: E731
    for r in graph.residuals:
        (x, upper), (_, lower) = point(r.token, r.upper), point(r.token, r.lower)
        line = axes.plot([x, x], [lower, upper], color=GREY, lw=1.1, ls=(0, (3, 2)), zorder=1)[0]
        line.set_gid(f"residual-{r.token}-{r.lower}-{r.upper}")
    for edge in sorted(graph.edges, key=lambda e: -e.share):
        _line(axes, edge, point(edge.query, edge.layer + 1), point(edge.key, edge.layer), "arc3,rad=0")
    for node in graph.nodes:
        size = 9.0 if node == (graph.root, graph.n_layers) else 5.5
        axes.plot(*point(*node), "o", ms=size, mfc=INK, mec="white", mew=0.8, zorder=4, clip_on=False)
    x, y = point(graph.root, graph.n_layers)
    word = plain(with_ellipsis(drawing.words[graph.root], WORD))
    axes.text(x, y + 0.17 * LAYER, word, ha="center", va="bottom", fontsize=NORMAL, fontweight="bold", color=INK, zorder=5)


def _draw_tree(axes: Axes, drawing: AttributionDrawing, tree: AttributionTree) -> None:
    """Draws the tree; edges leave a word sideways and enter the word below from above, so that they cross no other word."""
    depths = tree.depths
    _frame(axes, drawing, tree.n_layers - 1, depths, tree.edges)
    points = {token: ((token + 0.5) * drawing.column, depth * LAYER) for token, depth in depths.items()}
    for edge in sorted(tree.edges, key=lambda e: -e.share):
        (x, y), (to, below) = points[edge.query], points[edge.key]
        bend = 0.3 if to < x else -0.3
        _line(axes, edge, (x, y), (to, below), "angle3,angleA=0,angleB=90" if y != below else f"arc3,rad={bend}")
    box = {"boxstyle": "round,pad=0.22", "facecolor": "white", "edgecolor": INK, "linewidth": 0.7}
    for token, (x, y) in points.items():
        weight, word = "bold" if token == tree.root else "normal", plain(with_ellipsis(drawing.words[token], WORD))
        label = axes.text(x, y, word, ha="center", va="center", fontsize=NORMAL, color=INK, fontweight=weight, bbox=box, zorder=4)
        label.set_gid(f"word-{token}")


def _line(axes: Axes, edge: Edge, start: tuple[float, float], end: tuple[float, float], style: str) -> None:
    """Draws an edge from the query to the key; its width is its share of the layer's largest score."""
    width = THIN + (THICK - THIN) * edge.share
    line = FancyArrowPatch(start, end, arrowstyle="-", connectionstyle=style, color=POSITIVE, lw=width, shrinkA=0, shrinkB=0)
    line.set_zorder(2)
    line.set_capstyle("butt")
    line.set_gid(f"edge-{edge.layer}-{edge.query}-{edge.key}")
    axes.add_patch(line)
