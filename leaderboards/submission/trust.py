"""How far the rows of a board can be trusted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

Trust = Literal["self-reported", "well-formed", "re-scored", "re-run", "maintained"]
TRUST: tuple[Trust, ...] = ("self-reported", "well-formed", "re-scored", "re-run", "maintained")
"""From least to most."""


def weakest(levels: Sequence[Trust]) -> Trust:
    """The least trusted of several levels."""
    return min(levels, key=TRUST.index)
