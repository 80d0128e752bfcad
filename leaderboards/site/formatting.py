"""Numbers and small drawings as pages show them. No torch."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from ..comparison.standings import ModelBoard, RankedRow, RankedTable

TRUST_MEANS = {
    "self-reported": "numbers as whoever ran it stored them",
    "well-formed": "schema, sums, bounds and counts were checked",
    "re-scored": "a verifier recomputed scores from the stored explanations",
    "re-run": "a verifier ran the method anew",
    "maintained": "run and kept up to date by the board's maintainers",
}


def number(value: float | None, digits: int = 3) -> str:
    """A number for people; a dash where there is none.

    >>> number(0.12345), number(float("nan")), number(1e-7)
    ('0.123', '–', '1.0e-07')
    """
    if value is None or math.isnan(value):
        return "–"
    return f"{value:.1e}" if 0 < abs(value) < 0.5 * 10**-digits else f"{value:.{digits}f}"


def seconds(value: float | None) -> str:
    """Seconds for people."""
    return "–" if value is None or math.isnan(value) else f"{value:.2g}" if value < 100 else f"{value:.0f}"


def size(count: int) -> str:
    """A size for people.

    >>> size(2048)
    '2.0 KiB'
    """
    for power, unit in ((30, "GiB"), (20, "MiB")):
        if count >= 2**power:
            return f"{count / 2**power:.1f} {unit}"
    return f"{count / 2**10:.1f} KiB"


def coded(text: str) -> Markup:
    """A docstring's text, what stands between backticks as code.

    >>> print(coded("`a<b` sums"))
    <code>a&lt;b</code> sums
    """
    parts = text.split("`")
    return Markup("").join(Markup("<code>{}</code>").format(part) if at % 2 else part for at, part in enumerate(parts))


def words(settings: Mapping[str, Any]) -> str:
    """Settings in a line."""
    return ", ".join(f"{name}={value}" for name, value in settings.items()) or "no settings"


def weights(board: ModelBoard) -> dict[str, Any]:
    """What the page needs to rank methods under a reader's weights."""
    labels = list(dict.fromkeys(label for t in board.tables for label in t.side.scores.methods))
    tables = []
    for table, wanted in zip(board.tables, board.default, strict=True):
        scored = table.side.scores
        means = dict(zip(scored.methods, scored.values[:, scored.common].mean(1).tolist(), strict=True))
        tables.append(
            {"task": table.side.group.task, "metric": table.side.metric, "weight": int(wanted),
             "higher": table.side.scores.higher_is_better, "means": [means.get(label) for label in labels]}
        )  # fmt: skip
    return {"methods": labels, "tables": tables}


def whisker(line: RankedRow, standing: RankedTable) -> Markup:
    """A mean with its interval as a small drawing, on the scale of its table."""
    known = [x for other in standing.lines for x in (other.mean, other.low, other.high) if x == x]
    least, most = min(known, default=0.0), max(known, default=1.0)
    place = lambda x: 4 + 112 * (x - least) / ((most - least) or 1)  # noqa: E731
    if math.isnan(line.mean):
        return Markup("")
    bar = (
        ""
        if math.isnan(line.low)
        else Markup('<line x1="{:.1f}" x2="{:.1f}" y1="7" y2="7"/>').format(place(line.low), place(line.high))
    )
    return Markup(
        '<svg class="whisker" viewBox="0 0 120 14" width="120" height="14" aria-hidden="true">{}'
        '<circle cx="{:.1f}" cy="7" r="3.2"/></svg>'
    ).format(bar, place(line.mean))
