"""Our numbers against the published ones, as a picture of a table."""

from __future__ import annotations

import math

from matplotlib.figure import Figure

from ..figures.style import FAINT, GREY, MARKERS, METHODS, NORMAL, SMALL, add_axes, add_task_head, new_figure, tidy, with_ellipsis
from .report import ComparedTable, PaperReport
from .verdict import DECIDED

FEWEST = 3
"""Compared numbers that a table needs to be drawn."""
LONGEST_TITLE = 34


def comparison_figure(report: PaperReport, table: ComparedTable) -> Figure | None:
    """Ours against theirs, a colour and a marker a row, with our intervals; numbers on the diagonal are the same.

    Args:
        report: For the head.
        table: The table.

    Returns:
        None where fewer than three numbers can be compared.
    """
    drawn = [(row, n) for row, _, n in table.numbers if n.verdict.word in DECIDED and isinstance(n.published, float | int)]
    if len(drawn) < FEWEST:
        return None
    figure = new_figure(8.2, 5.2)
    axes = add_axes(figure, 0.75, 0.65, 4.0, 3.8)
    titles = list(dict.fromkeys(row.title for row, _ in drawn))
    for index, title in enumerate(titles):
        numbers = [n for row, n in drawn if row.title == title]
        ours, theirs = [n.entry.value for n in numbers], [float(n.published) for n in numbers]
        reach = [[max(0.0, n.entry.value - n.entry.low) if not math.isnan(n.entry.low) else 0 for n in numbers],
                 [max(0.0, n.entry.high - n.entry.value) if not math.isnan(n.entry.high) else 0 for n in numbers]]  # fmt: skip
        axes.errorbar(theirs, ours, yerr=reach, fmt=MARKERS[(index // len(METHODS) + index) % len(MARKERS)], ms=5, lw=0.8,
                      color=METHODS[index % len(METHODS)], label=with_ellipsis(title, LONGEST_TITLE))  # fmt: skip
    every = [value for _, n in drawn for value in (n.entry.value, float(n.published))]
    ends = (min(every), max(every))
    axes.axline((ends[0], ends[0]), slope=1, color=FAINT if ends[0] == ends[1] else GREY, lw=0.8, ls=":")
    tidy(axes)
    axes.set_xlabel("published", fontsize=NORMAL)
    axes.set_ylabel("measured here, with 95 % intervals", fontsize=NORMAL)
    axes.legend(loc="upper left", bbox_to_anchor=(1.03, 1), borderaxespad=0, fontsize=SMALL, frameon=False)
    within = sum(n.verdict.word == "within" for _, n in drawn)
    head = f"{table.table.place}: {table.table.title}"
    count = f"{within} of {len(drawn)} published numbers are within: in our interval, or as near as the digits printed."
    note = f"{report.reproduction.paper.authors}. {count}"
    add_task_head(figure, with_ellipsis(head, 90), note)
    return figure
