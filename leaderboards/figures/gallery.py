"""A page of chosen instances (Figs. 6 to 13 of Lu et al. 2021): their patterns in a grid."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.figure import Figure

from .pattern import panels, pattern_figure
from .pattern_strokes import SHARE
from .source import CellExplanations, one_a_condition

MOST = 12
"""Panels a page."""


def gallery_pages(
    explained: CellExplanations,
    reference: CellExplanations | None,
    wanted: Sequence[str] = (),
    share: float = SHARE,
    columns: int = 2,
) -> list[Figure]:
    """Pages of at most `MOST` panels: the instances asked for, else one of each condition."""
    ids = list(wanted) or one_a_condition(explained)[:MOST]
    pages = (ids[start : start + MOST] for start in range(0, len(ids), MOST))
    return [pattern_figure(panels(explained, reference, page, share), columns) for page in pages]
