"""Colours of scores, which any common colour vision tells apart: bluish green speaks for the answer, vermilion against it.

Both are from Okabe & Ito (2008), as in the figures. The sign always stands beside the colour.
"""

from __future__ import annotations

from ..leaderboards.figures.style import NEGATIVE, POSITIVE

FAINTEST = 0.04
"""Shares below this are not shaded."""


def shade(share: float) -> str:
    """The background of a word in dark letters: white for 0, the full colour for 1 or -1.

    Args:
        share: The word's score as a share of the largest absolute score beside it, in [-1, 1].

    >>> shade(0.0), shade(1.0), shade(-1.0)
    ('#ffffff', '#009e73', '#d55e00')
    """
    full = POSITIVE if share > 0 else NEGATIVE
    strength = min(1.0, abs(share))
    mixed = [round(255 + (int(full[i : i + 2], 16) - 255) * strength) for i in (1, 3, 5)]
    return "#" + "".join(f"{part:02x}" for part in mixed)


def is_faint(share: float) -> bool:
    """Whether a score is too small a share of the largest to be shaded."""
    return abs(share) < FAINTEST
