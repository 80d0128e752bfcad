"""Patterns of all sentences of a condition, superimposed (Figs. 14 and 15 of Lu et al. 2021).

Rows are the slots of the template, and the width of a line is the share of sentences that have the edge.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure

from ...core.errors import NotApplicable
from .drawn_graph import THICK, THIN, Grid, add_legend, draw_graph
from .pattern_strokes import SHARE, Stroke, frequencies, kept_words, word_patterns, word_totals
from .source import CellExplanations, of_condition
from .style import GREY, INK, LARGE, NORMAL, SMALL, add_axes, add_text, new_figure, with_ellipsis

LEAST = 0.10
"""Edges in a smaller share of sentences are left out."""
LABELS, TOP, BOTTOM = 1.0, 0.55, 0.8
"""Inches: width of the slots' names, height above and below the rows."""


@dataclass(frozen=True)
class Superposition:
    """The superimposed edges of all sentences of one template.

    Attributes:
        title: Method, task and condition.
        slots: The name of each row.
        target: The row that q reads.
        strokes: The edges; their weight is the share of sentences that have them.
        sentences: The number of sentences.
        left_out: The number of sentences left out because their template or their target differs.
        n_layers: The number of the model's layers.
        least: Edges in a smaller share of sentences are left out.
    """

    title: str
    slots: tuple[str, ...]
    target: int
    strokes: tuple[Stroke, ...]
    sentences: int
    left_out: int
    n_layers: int
    least: float

    @property
    def grid(self) -> Grid:
        """Where the nodes stand."""
        return Grid(self.n_layers, len(self.slots), 1.1 if self.n_layers <= 8 else 0.95)

    @property
    def size(self) -> tuple[float, float]:
        """Width and height in inches."""
        return LABELS + self.grid.width + 0.15, TOP + self.grid.height + BOTTOM


def superpose(
    explained: CellExplanations,
    reference: CellExplanations | None,
    condition: str | None,
    *,
    share: float = SHARE,
    least: float = LEAST,
) -> Superposition:
    """Counts the edges of the sentences of a condition.

    Only the most frequent template of the condition is counted, since rows must mean the same in every sentence.

    Args:
        explained: The explanations of one cell.
        reference: Explanations by influence patterns, for the words and signs of methods that have none.
        condition: The condition, or None for all sentences.
        share: Words with a smaller share of the sum of |g| are not counted.
        least: Edges in a smaller share of sentences are left out.

    Raises:
        UsageError: The task has no such condition.
        NotApplicable: The task has no template, q reads several positions, or the method scores no paths.
    """
    ids = of_condition(explained, condition)
    templates = Counter((s.slots, s.target) for s in (explained.sentences[id] for id in ids))
    (slots, target), count = templates.most_common(1)[0]
    if not any(slot[:1].isalpha() for slot in slots):
        raise NotApplicable(f"{explained.record.task} has no template, and only sentences of one template can be superimposed.")
    if target is None:
        raise NotApplicable("q reads several positions, but a pattern ends in one.")
    chosen = [id for id in ids if (explained.sentences[id].slots, explained.sentences[id].target) == (slots, target)]
    kept = []
    for id in chosen:
        explanation = explained.gold[id].each()[0]
        borrowed = None if reference is None or explanation.tokens is not None else reference.gold.get(id)
        totals = word_totals(explanation if borrowed is None else borrowed, len(slots))
        patterns = word_patterns(explanation, totals, target)
        kept.append(patterns.select(np.isin(patterns.source, kept_words(totals, share))))
    of_condition_text = f", condition {condition}" if condition else ""
    return Superposition(
        title=f"{explained.label}   {explained.record.task}{of_condition_text}",
        slots=slots,
        target=target,
        strokes=tuple(frequencies(kept, least)),
        sentences=count,
        left_out=len(ids) - count,
        n_layers=kept[0].positions.shape[1] - 1,
        least=least,
    )


def aggregate_figure(shown: Sequence[Superposition], columns: int = 2) -> Figure:
    """Draws superpositions in rows of `columns`; line widths mean the same in all of them."""
    columns = min(columns, len(shown))
    width, height = (max(panel.size[side] for panel in shown) for side in (0, 1))
    rows = -(-len(shown) // columns)
    figure = new_figure(width * columns, height * rows)
    for index, panel in enumerate(shown):
        row, column = divmod(index, columns)
        _draw(figure, panel, column * width, (rows - row) * height - panel.size[1])
    return figure


def _draw(figure: Figure, panel: Superposition, left: float, bottom: float) -> None:
    """Draws a superposition; `left` and `bottom` are the inches of its lower left corner."""
    grid, base = panel.grid, bottom + BOTTOM
    axes = add_axes(figure, left + LABELS, base, grid.width, grid.height)
    draw_graph(axes, panel.strokes, grid, panel.target, largest=1.0)
    axes.set_yticks(
        [grid.node(0, row)[1] for row in range(len(panel.slots))], [with_ellipsis(s, 13) for s in panel.slots], fontsize=NORMAL
    )
    axes.tick_params(axis="y", length=0, pad=0)
    axes.get_yticklabels()[panel.target].set_fontweight("bold")
    add_legend(axes, panel.strokes, True, 0.36)
    add_text(figure, left + 0.1, base + grid.height + 0.2, panel.title, fontsize=LARGE, color=INK, va="bottom")
    other = f"; {panel.left_out} of other templates left out" if panel.left_out else ""
    sentences = f"{panel.sentences} sentence{'s' if panel.sentences != 1 else ''}"
    widths = f"Line width: share of {sentences}, {THIN:g} pt = none, {THICK:g} pt = all"
    note = f"{widths}; edges in fewer than {panel.least:.0%} left out{other}."
    add_text(figure, left + LABELS + 0.08, bottom + 0.1, note, fontsize=SMALL, color=GREY, va="bottom")
