"""What the heads of a scorecard mean, in lines that stand below it."""

from __future__ import annotations

from collections.abc import Iterable

from ...metrics.registry import METRICS
from ..tables.columns import VARIANTS

COSTS = {
    "seconds": "wall time, with work that methods share charged to each in full.",
    "processor s": "processor time of all threads (s), which other programs on the machine do not move.",
    "passes": "forward passes of one sentence through all layers; gradients are not counted.",
    "moves with": "largest change of an explanation when other sentences share its batch, or another seed is drawn, as a share "
    "of its size; 0 is best, and methods that draw random numbers do move with the seed.",
}
"""Columns that are no metric, by the first word or words of their heads."""
ORDER = (
    "Rows: the best over all metrics of a table, by the sum of places, come first. Letters: methods that share one in a column "
    "cannot be separated. Brackets: 95 % intervals over sentences."
)


def legend(heads: Iterable[str]) -> list[str]:
    r"""What a scorecard's columns and its order of rows mean, each column once.

    Args:
        heads: Heads of columns: a metric's name, then on a second line its variant and direction; or of a cost.

    >>> legend(["method", "seconds\nan explanation"])[1]
    'seconds: wall time, with work that methods share charged to each in full.'
    """
    docs, lines = METRICS.docs(), [ORDER]
    for head in dict.fromkeys(heads):
        title, _, below = head.partition("\n")
        if title in docs:
            variant = below.rpartition(", ")[0]
            meaning = f" ({variant}: {VARIANTS[variant]})" if variant in VARIANTS else ""
            lines.append(f"{title}: {docs[title].summary.rstrip('.')}{meaning}.")
        elif title in COSTS:
            lines.append(f"{title}: {COSTS[title]}")
    return [*dict.fromkeys(lines), "`flowgauge info METRIC` says more, such as when a metric misleads."]
