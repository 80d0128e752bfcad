"""Patterns of sentences: one (Fig. 3 of Lu et al. 2021), two side by side (Fig. 4), or a page of them."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from .pattern_panel import Panel, draw_panel, make_panel
from .pattern_strokes import SHARE
from .source import CellExplanations
from .style import new_figure


def panels(
    explained: CellExplanations, reference: CellExplanations | None, ids: Sequence[str], share: float = SHARE
) -> list[Panel]:
    """A panel for each instance.

    Raises:
        NotApplicable: The method shows neither words nor paths.
    """
    made = []
    for id in ids:
        other = None if reference is None else reference.gold.get(id)
        made.append(
            make_panel(explained.label, explained.sentences[id], explained.gold[id], other, unit=explained.unit, share=share)
        )
    return made


def pattern_figure(shown: Sequence[Panel], columns: int = 2) -> Figure:
    """Panels in rows of `columns`, each as large as it needs to be."""
    columns = min(columns, len(shown))
    rows = [shown[start : start + columns] for start in range(0, len(shown), columns)]
    widths = [max(row[number].size[0] for row in rows if number < len(row)) for number in range(columns)]
    heights = [max(panel.size[1] for panel in row) for row in rows]
    figure = new_figure(sum(widths), sum(heights))
    for number, row in enumerate(rows):
        top = sum(heights) - sum(heights[:number])
        for place, panel in enumerate(row):
            draw_panel(figure, panel, sum(widths[:place]), top - panel.size[1])
    return figure
