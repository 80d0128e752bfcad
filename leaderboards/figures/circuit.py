"""The strongest edges of a circuit as a layered graph: the embedding below, the logits above, heads and blocks between."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import FancyArrowPatch

from ...benchmark.store.explanation_file import ExplainedSentence
from ...core.errors import NotApplicable
from ...methods.explanation import Explanation
from ...models.circuits.circuit_graph import PARTS, CircuitGraph
from .attribution import answer_line
from .style import (
    FAINT,
    GREY,
    INK,
    NEGATIVE,
    NORMAL,
    POSITIVE,
    SMALL,
    add_axes,
    add_sentence_head,
    add_text,
    new_figure,
)

SHOWN = 30
"""The number of edges that are drawn."""
STEP, LAYER, LEFT, RIGHT, TOP, BELOW = 0.62, 0.95, 0.85, 0.35, 0.75, 0.55
"""Inches: between heads; height of a layer; space left and right of the graph, above and below it."""
THIN, THICK = 0.6, 4.5
"""Line widths in points of a score of 0 and of the largest."""
LETTERS = dict(zip(PARTS, "qkv", strict=True))
Place = tuple[float, float]


@dataclass(frozen=True, eq=False)
class CircuitDrawing:
    """The strongest edges of one sentence, ready to be drawn.

    Attributes:
        title: Method and instance.
        subtitle: The explained answer, and whether the model is right.
        graph: Writers and readers.
        edges: Writer, reader and score of each edge, the strongest first.
        share: The share that these edges have of the sum of all absolute scores.
    """

    title: str
    subtitle: str
    graph: CircuitGraph
    edges: tuple[tuple[int, int, float], ...]
    share: float


def circuit_drawing(method: str, sentence: ExplainedSentence, explanation: Explanation, shown: int = SHOWN) -> CircuitDrawing:
    """Chooses the edges with the largest absolute scores; of several draws, the first is shown.

    Args:
        method: The method's label.
        sentence: The explained sentence.
        explanation: Its explanation.
        shown: The number of edges.

    Raises:
        NotApplicable: The method gives no circuit.
    """
    first = explanation.each()[0]
    if first.circuit is None:
        raise NotApplicable(f"the method gives {', '.join(sorted(first.views))}; a circuit is drawn from the view circuit.")
    size = np.abs(first.circuit)
    order = np.argsort(-size, axis=None, kind="stable")[:shown]
    places = [np.unravel_index(index, size.shape) for index in order if size.flat[index] > 0]
    edges = tuple((int(writer), int(reader), float(first.circuit[writer, reader])) for writer, reader in places)
    share = sum(abs(score) for *_, score in edges) / total if (total := float(size.sum())) else 0.0
    graph = CircuitGraph.of_shape((size.shape[0], size.shape[1]))
    return CircuitDrawing(f"{method}   {sentence.id}", answer_line(sentence, explanation), graph, edges, share)


def circuit_figure(drawing: CircuitDrawing) -> Figure:
    """Draws every node, and the chosen edges from writer to reader; a letter says which input of a head reads."""
    graph = drawing.graph
    width, height = STEP * (graph.heads + 1), LAYER * (graph.layers + 1)
    figure = new_figure(max(LEFT + width + RIGHT, 6.2), TOP + height + BELOW)
    add_sentence_head(figure, drawing.title, drawing.subtitle)
    axes = add_axes(figure, LEFT, BELOW, width, height)
    axes.set(xlim=(0, width), ylim=(0, height))
    axes.set_axis_off()
    used = {node for writer, reader, _ in drawing.edges for node in (writer, graph.node_of_reader(reader))}
    _draw_edges(axes, drawing)
    _draw_nodes(axes, graph, used)
    note = (
        f"The {len(drawing.edges)} strongest edges, {100 * drawing.share:.0f} % of the sum of absolute scores. Green: for the "
        "answer;\ndashed orange: against it. Letters: read as query, key or value."
    )
    add_text(figure, 0.12, 0.1, note, fontsize=SMALL, color=GREY, va="bottom")
    return figure


def _place(graph: CircuitGraph, writer: int | None) -> Place:
    """The middle of a writer, or of the logits (None)."""
    centre = STEP * (graph.heads + 1) / 2
    if writer is None:
        return centre, LAYER * (graph.layers + 0.75)
    if writer == 0:
        return centre, LAYER * 0.2
    layer, head = divmod(writer - 1, graph.heads + 1)
    is_block = head == graph.heads
    return STEP * (head + 0.5), LAYER * (layer + (0.98 if is_block else 0.65))


def _draw_nodes(axes: Axes, graph: CircuitGraph, used: set[int | None]) -> None:
    """Draws the nodes with edges in ink, the others faint, and the number of each layer."""
    nodes: list[int | None] = [*range(graph.shape[0]), None]
    for writer in nodes:
        text = "logits" if writer is None else _short(graph, writer)
        ink = writer in used
        axes.text(
            *_place(graph, writer), text, ha="center", va="center", fontsize=SMALL, color=INK if ink else GREY, zorder=3,
            gid=f"node-{'logits' if writer is None else writer}",
            bbox={"boxstyle": "round,pad=0.22", "fc": "white", "ec": INK if ink else FAINT, "lw": 0.8},
        )  # fmt: skip
    for layer in range(graph.layers):
        axes.text(-0.1, LAYER * (layer + 0.8), f"layer {layer + 1}", ha="right", va="center", fontsize=NORMAL, color=INK)


def _short(graph: CircuitGraph, writer: int) -> str:
    """A name that fits into a node."""
    if writer == 0:
        return "embedding"
    head = (writer - 1) % (graph.heads + 1)
    return "ff" if head == graph.heads else f"h{head + 1}"


def _draw_edges(axes: Axes, drawing: CircuitDrawing) -> None:
    """Draws the edges, weak ones first, so that strong ones lie above them."""
    graph, readers = drawing.graph, drawing.graph.readers()
    largest = max((abs(score) for *_, score in drawing.edges), default=1.0)
    for writer, reader, score in reversed(drawing.edges):
        start, end = _place(graph, writer), _place(graph, graph.node_of_reader(reader))
        bend = 0.0 if abs(start[0] - end[0]) > STEP / 2 else 0.25
        arrow = FancyArrowPatch(
            start, end, arrowstyle="-|>", mutation_scale=7, shrinkA=9, shrinkB=9, connectionstyle=f"arc3,rad={bend}",
            linewidth=THIN + (THICK - THIN) * abs(score) / largest, color=POSITIVE if score > 0 else NEGATIVE,
            linestyle="-" if score > 0 else (0, (3, 1.5)), alpha=0.75, zorder=1, clip_on=False,
        )  # fmt: skip
        arrow.set_gid(f"edge-{writer}-{reader}")
        axes.add_patch(arrow)
        part = readers[reader].rpartition(" ")[2]
        if part in LETTERS:
            offset = {"query": -0.18, "key": 0.0, "value": 0.18}[part]
            axes.text(end[0] + offset, end[1] - 0.17, LETTERS[part], fontsize=6.5, color=INK, ha="center", va="top", zorder=4)
