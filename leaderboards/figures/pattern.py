"""Patterns of instances: one (Fig. 3 of Lu et al. 2021), two side by side (Fig. 4), or pages of them (Figs. 6 to 13)."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from .pattern_panel import Panel, draw_panel, make_panel
from .pattern_strokes import SHARE
from .source import CellExplanations, one_a_condition
from .style import new_figure

PANELS_A_PAGE = 12
"""The largest number of panels on a page of a gallery."""


def panels(
    explained: CellExplanations, reference: CellExplanations | None, ids: Sequence[str], share: float = SHARE
) -> list[Panel]:
    """Prepares a panel for each instance.

    Args:
        explained: The explanations of one cell.
        reference: Explanations by influence patterns, for the words and signs of methods that have none.
        ids: Identifiers of the instances.
        share: Words with a smaller share of the sum of |g| are left out.

    Raises:
        NotApplicable: The method scores neither words nor paths.
    """
    return [
        make_panel(
            explained.label,
            explained.sentences[id],
            explained.gold[id],
            None if reference is None else reference.gold.get(id),
            unit=explained.unit,
            share=share,
        )
        for id in ids
    ]


def pattern_figure(shown: Sequence[Panel], columns: int = 2) -> Figure:
    """Draws panels in rows of `columns`; each column and each row is as large as its largest panel."""
    columns = min(columns, len(shown))
    rows = [shown[start : start + columns] for start in range(0, len(shown), columns)]
    widths = [max(row[column].size[0] for row in rows if column < len(row)) for column in range(columns)]
    heights = [max(panel.size[1] for panel in row) for row in rows]
    figure = new_figure(sum(widths), sum(heights))
    for index, row in enumerate(rows):
        top = sum(heights) - sum(heights[:index])
        for column, panel in enumerate(row):
            draw_panel(figure, panel, sum(widths[:column]), top - panel.size[1])
    return figure


def gallery_pages(
    explained: CellExplanations,
    reference: CellExplanations | None,
    ids: Sequence[str] = (),
    share: float = SHARE,
    columns: int = 2,
) -> list[Figure]:
    """Draws pages of at most `PANELS_A_PAGE` patterns.

    Args:
        explained: The explanations of one cell.
        reference: Explanations by influence patterns, for the words and signs of methods that have none.
        ids: Identifiers of the instances; by default, one of each condition on a single page.
        share: Words with a smaller share of the sum of |g| are left out.
        columns: Panels in a row.
    """
    ids = list(ids) or one_a_condition(explained)[:PANELS_A_PAGE]
    pages = (ids[start : start + PANELS_A_PAGE] for start in range(0, len(ids), PANELS_A_PAGE))
    return [pattern_figure(panels(explained, reference, page, share), columns) for page in pages]
