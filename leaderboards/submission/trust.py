"""How far the rows of a board can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Trust = Literal["self-reported", "well-formed", "re-scored", "re-run", "maintained"]
TRUST: tuple[Trust, ...] = ("self-reported", "well-formed", "re-scored", "re-run", "maintained")
"""From least to most trusted."""


@dataclass(frozen=True)
class BundleProblem:
    """A rule that a bundle breaks, or a note on it.

    Attributes:
        where: Cell, or cell and metric.
        what: What is wrong, and by how much; or what was noticed.
    """

    where: str
    what: str


def weakest(levels: Sequence[Trust]) -> Trust:
    """The least trusted of several levels.

    >>> weakest(["re-run", "well-formed", "maintained"])
    'well-formed'
    """
    return min(levels, key=TRUST.index)
