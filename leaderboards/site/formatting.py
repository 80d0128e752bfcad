"""Numbers, texts, small drawings and addresses as pages show them."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from markupsafe import Markup

from ..comparison.model_boards import ModelBoard
from ..comparison.task_boards import RankedRow, RankedTable

TRUST_MEANS = {
    "self-reported": "The scores are as the submitter stored them.",
    "well-formed": "Formats, checksums, bounds and counts were checked.",
    "re-scored": "A verifier recomputed scores from the stored explanations.",
    "re-run": "A verifier ran the method again and compared its explanations.",
    "maintained": "The maintainers of the board ran the method and keep its scores up to date.",
}
"""What each level of trust means."""


def number(value: float | None, digits: int = 3) -> str:
    """A number with `digits` decimals, or in scientific notation where it would show as 0; a dash where it is undefined.

    >>> number(0.12345), number(float("nan")), number(1e-7)
    ('0.123', '–', '1.0e-07')
    """
    if value is None or math.isnan(value):
        return "–"
    return f"{value:.1e}" if 0 < abs(value) < 0.5 * 10**-digits else f"{value:.{digits}f}"


def short(value: float, digits: int = 4) -> float | None:
    """A number to some significant digits, to keep pages small; None where it is undefined.

    >>> short(0.123456), short(float("nan"))
    (0.1235, None)
    """
    return float(f"{value:.{digits}g}") if math.isfinite(value) else None


def seconds(value: float | None) -> str:
    """Seconds to two significant digits, or rounded to whole seconds from 100; a dash where they are unknown.

    >>> seconds(0.01234), seconds(123.4), seconds(None)
    ('0.012', '123', '–')
    """
    return "–" if value is None or math.isnan(value) else f"{value:.2g}" if value < 100 else f"{value:.0f}"


def size(count: int) -> str:
    """A number of bytes in KiB, MiB or GiB.

    >>> size(2048)
    '2.0 KiB'
    """
    for power, unit in ((30, "GiB"), (20, "MiB")):
        if count >= 2**power:
            return f"{count / 2**power:.1f} {unit}"
    return f"{count / 2**10:.1f} KiB"


def coded(text: str) -> Markup:
    """The text of a docstring as HTML, in which texts between backticks are set as code.

    >>> print(coded("`a<b` sums"))
    <code>a&lt;b</code> sums
    """
    parts = text.split("`")
    return Markup("").join(Markup("<code>{}</code>").format(part) if index % 2 else part for index, part in enumerate(parts))


def settings_line(settings: Mapping[str, Any]) -> str:
    """Settings on one line.

    >>> settings_line({"steps": 20, "rule": "right"}), settings_line({})
    ('steps=20, rule=right', 'no settings')
    """
    return ", ".join(f"{name}={value}" for name, value in settings.items()) or "no settings"


def weights(board: ModelBoard) -> dict[str, Any]:
    """The data with which a page ranks methods under the weights that a reader chooses.

    Returns:
        `methods`: the labels of all methods. `tables`: for each table of the board its task, its metric, its default weight
        and the rank of each method in it, by `ordering.ranks_of`; None where it has none.
    """
    labels = list(dict.fromkeys(label for t in board.tables for label in t.comparison.scores.methods))
    tables = []
    for table, counts in zip(board.tables, board.default, strict=True):
        scores = table.comparison.scores
        ranks = dict(zip(scores.methods, scores.order(scores.common_means()).tolist(), strict=True))
        tables.append(
            {"task": table.comparison.group.task, "metric": table.comparison.metric, "weight": int(counts),
             "ranks": [ranks.get(label) for label in labels]}
        )  # fmt: skip
    return {"methods": labels, "tables": tables}


def whisker(line: RankedRow, standing: RankedTable) -> Markup:
    """A mean with its interval as a small drawing; all drawings of a table have one scale."""
    known = [x for row in standing.rows for x in (row.mean, row.low, row.high) if x == x]
    least, most = min(known, default=0.0), max(known, default=1.0)
    position = lambda x: 4 + 112 * (x - least) / ((most - least) or 1)  # noqa: E731
    if math.isnan(line.mean):
        return Markup("")
    bar = (
        ""
        if math.isnan(line.low)
        else Markup('<line x1="{:.1f}" x2="{:.1f}" y1="7" y2="7"/>').format(position(line.low), position(line.high))
    )
    return Markup(
        '<svg class="whisker" viewBox="0 0 120 14" width="120" height="14" aria-hidden="true">{}'
        '<circle cx="{:.1f}" cy="7" r="3.2"/></svg>'
    ).format(bar, position(line.mean))


class PageNames:
    """Gives each key a file name of its own, safe in every file system, and the same key always the same name."""

    def __init__(self) -> None:
        self._names: dict[str, str] = {}

    def of(self, *parts: str) -> str:
        """The name of a key: letters, digits and hyphens; where two keys would share a name, the later one gets a number.

        >>> names = PageNames()
        >>> names.of("SVA/obj"), names.of("sva obj"), names.of("SVA/obj"), names.of("<>")
        ('sva-obj', 'sva-obj-2', 'sva-obj', 'page')
        """
        key = "\0".join(parts)
        if key not in self._names:
            plain = re.sub(r"[^a-z0-9]+", "-", " ".join(parts).lower()).strip("-")[:80] or "page"
            name, suffix, used = plain, 2, set(self._names.values())
            while name in used:
                name, suffix = f"{plain}-{suffix}", suffix + 1
            self._names[key] = name
        return self._names[key]
