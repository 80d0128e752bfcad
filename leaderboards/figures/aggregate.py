"""All sentences of a condition superimposed (Figs. 14 and 15 of Lu et al. 2021): line width is frequency, rows are slots."""

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
from .style import GREY, INK, LARGE, NORMAL, SMALL, add_axes, add_text, new_figure, shortened

LEAST = 0.10
"""Edges in a smaller share of sentences are left out."""
LABELS, TOP, BOTTOM = 1.0, 0.55, 0.8
"""Inches: width of the slots' names, height above and below the rows."""


@dataclass(frozen=True)
class Superposition:
    """The edges of all sentences of one template.

    Attributes:
        title: Method, task and condition.
        slots: Name of each row.
        target: The row q reads.
        strokes: Edges; weight is the share of sentences that have them.
        sentences: How many.
        other: Sentences left out because they have other slots or another target.
        n_layers: Of the model.
        least: Edges in a smaller share of sentences are left out.
    """

    title: str
    slots: tuple[str, ...]
    target: int
    strokes: tuple[Stroke, ...]
    sentences: int
    other: int
    n_layers: int
    least: float

    @property
    def grid(self) -> Grid:
        """Places of the nodes."""
        return Grid(self.n_layers, len(self.slots), 1.1 if self.n_layers <= 8 else 0.95)

    @property
    def size(self) -> tuple[float, float]:
        """Inches it needs."""
        return LABELS + self.grid.width + 0.15, TOP + self.grid.height + BOTTOM


def superpose(
    explained: CellExplanations,
    reference: CellExplanations | None,
    condition: str | None,
    *,
    share: float = SHARE,
    least: float = LEAST,
) -> Superposition:
    """Counts edges over the sentences of a condition (None: all); words under `share` of sum |g| count for nothing.

    Raises:
        NotApplicable: No sentence has a target, or the method shows no paths.
    """
    ids = of_condition(explained, condition)
    templates = Counter((s.slots, s.target) for s in (explained.sentences[id] for id in ids))
    (slots, target), count = templates.most_common(1)[0]
    if not any(slot[:1].isalpha() for slot in slots):
        raise NotApplicable(
            f"{explained.record.task} has no template, and only the same places of sentences can be superimposed."
        )
    if target is None:
        raise NotApplicable("q reads several positions, and a pattern ends in one.")
    chosen = [id for id in ids if (explained.sentences[id].slots, explained.sentences[id].target) == (slots, target)]
    found = []
    for id in chosen:
        one = explained.gold[id].each()[0]
        other = None if reference is None else reference.gold.get(id)
        totals = word_totals(other if one.tokens is None and other is not None else one, len(slots))
        patterns = word_patterns(one, totals, target)
        found.append(patterns.select(np.isin(patterns.source, kept_words(totals, share))))
    record, of = explained.record, f", condition {condition}" if condition else ""
    strokes = tuple(frequencies(found, least))
    title, n_layers = f"{explained.label}   {record.task}{of}", found[0].positions.shape[1] - 1
    return Superposition(title, slots, target, strokes, count, len(ids) - count, n_layers, least)


def aggregate_figure(shown: Sequence[Superposition], columns: int = 2) -> Figure:
    """Superpositions in rows of `columns`; widths mean the same in all."""
    columns = min(columns, len(shown))
    width, height = (max(one.size[side] for one in shown) for side in (0, 1))
    rows = -(-len(shown) // columns)
    figure = new_figure(width * columns, height * rows)
    for number, one in enumerate(shown):
        row, column = divmod(number, columns)
        _draw(figure, one, column * width, (rows - row) * height - one.size[1])
    return figure


def _draw(figure: Figure, one: Superposition, left: float, bottom: float) -> None:
    grid, base = one.grid, bottom + BOTTOM
    axes = add_axes(figure, left + LABELS, base, grid.width, grid.height)
    draw_graph(axes, one.strokes, grid, one.target, largest=1.0)
    axes.set_yticks(
        [grid.node(0, row)[1] for row in range(len(one.slots))], [shortened(s, 13) for s in one.slots], fontsize=NORMAL
    )
    axes.tick_params(axis="y", length=0, pad=0)
    axes.get_yticklabels()[one.target].set_fontweight("bold")
    add_legend(axes, one.strokes, True, 0.36)
    add_text(figure, left + 0.1, base + grid.height + 0.2, one.title, fontsize=LARGE, color=INK, va="bottom")
    other = f"; {one.other} of other templates left out" if one.other else ""
    widths = f"width: share of {one.sentences} sentences, {THICK:g} pt = all, {THIN:g} pt = none"
    note = f"{widths}; edges in under {one.least:.0%} left out{other}"
    add_text(figure, left + LABELS + 0.08, bottom + 0.1, note, fontsize=SMALL, color=GREY, va="bottom")
