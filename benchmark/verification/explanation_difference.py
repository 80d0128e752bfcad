"""What running a method again shows, and whether two explanations say the same up to rounding. No torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ...methods.explanation import MASK_COMPANIONS, VIEWS, Explanation
from ...models.flow.graph import Patterns

TOLERANCE = {"float64": 1e-3, "float32": 1e-3}
"""Of values, as a share of the largest of their view, by the model's dtype: large views are stored with three digits."""
COARSE = 5e-2
"""The same for half precision."""
TIES = 0.1
"""Share of paths that may differ where their influence does not: one of several that are as good."""
NUMBERS = ("total", "influence", "head_influence")


@dataclass(frozen=True)
class RerunOutcome:
    """What came of running a method again.

    Attributes:
        instances: How many were explained again.
        differing: How many of them came out otherwise.
        first: The first of these, and how it differs.
        trained: Whether the method was trained anew for it.
    """

    instances: int
    differing: int = 0
    first: str = ""
    trained: bool = False


@dataclass(frozen=True, eq=False)
class SecretSeedScores:
    """What came of running methods on instances that nobody has seen.

    Attributes:
        instances: How many there were.
        rows: Score rows by the 12 digits of a cell and the identity of a metric.
        missing: Why a cell has none.
    """

    instances: int
    rows: Mapping[tuple[str, str], pd.DataFrame]
    missing: Mapping[str, str]


def tolerance(dtype: str) -> float:
    """How far values may lie apart, as a share of the largest.

    >>> tolerance("float32"), tolerance("bfloat16")
    (0.001, 0.05)
    """
    return TOLERANCE.get(dtype, COARSE)


def difference(theirs: Explanation, ours: Explanation, within: float) -> str:
    """How two explanations differ, in words; empty where they agree.

    Args:
        theirs: As stored.
        ours: As it comes out here.
        within: `tolerance` of the cell's dtype.

    >>> difference(Explanation(tokens=np.array([2.0, 1.0])), Explanation(tokens=np.array([2.0, 0.0])), 1e-3)
    'tokens differ by up to 50 % of the largest'
    """
    if len(theirs.draws) != len(ours.draws) or theirs.views != ours.views:
        return f"it has {_shape(theirs)}, here it has {_shape(ours)}"
    for draw, (one, other) in enumerate(zip(theirs.each(), ours.each(), strict=True)):
        views = (_view(view, one, other, within) for view in (*VIEWS, *MASK_COMPANIONS))
        found = next((text for text in (*views, _reported(one, other, within)) if text), "")
        if found:
            return f"{found}, draw {draw}" if theirs.draws else found
    return ""


def _shape(one: Explanation) -> str:
    return f"{', '.join(sorted(one.views))}{f' in {len(one.draws)} draws' if one.draws else ''}"


def _view(name: str, theirs: Explanation, ours: Explanation, within: float) -> str:
    one, other = getattr(theirs, name), getattr(ours, name)
    if one is None or other is None:
        return "" if one is other else f"{name} are there in one of them only"
    if isinstance(one, Patterns):
        return _patterns(one, other, within)
    return _values(name, one, other, within)


def _values(name: str, one: np.ndarray, other: np.ndarray, within: float) -> str:
    if one.shape != other.shape:
        return f"{name} have shape {one.shape}, here {other.shape}"
    gap, size = np.abs(one.astype(float) - other.astype(float)), float(np.abs(other.astype(float)).max(initial=0))
    worst = float(gap.max(initial=0))
    if worst <= within * size:
        return ""
    return f"{name} differ by up to {100 * worst / size:.3g} % of the largest" if size else f"{name} should all be 0"


def _reported(theirs: Explanation, ours: Explanation, within: float) -> str:
    """Numbers about the explanation itself; those that say how little was missed are as good as 0."""
    if theirs.values.keys() != ours.values.keys():
        return f"it reports {', '.join(sorted(theirs.values)) or 'no values'}, here {', '.join(sorted(ours.values)) or 'none'}"
    for name, value in ours.values.items():
        if abs(theirs.values[name] - value) > within * (1 + abs(value)):
            return f"its {name} is {theirs.values[name]:.4g}, here {value:.4g}"
    return ""


def _patterns(one: Patterns, other: Patterns, within: float) -> str:
    """Numbers as those of views; paths are the same but for a few ties."""
    if not np.array_equal(one.source, other.source) or one.positions.shape != other.positions.shape:
        return "paths start at other words"
    for name in NUMBERS:
        theirs, ours = getattr(one, name), getattr(other, name)
        if (theirs is None) != (ours is None):
            return f"{name} of paths is there in one of them only"
        found = "" if theirs is None else _values(f"{name} of paths", theirs, ours, within)
        if found:
            return found
    moved = (one.positions != other.positions).any((1, 2))
    if one.heads is not None and other.heads is not None:
        moved |= (one.heads != other.heads).reshape(len(one), -1).any(1)
    if moved.sum() > max(1, TIES * len(one)):
        return f"{int(moved.sum())} of {len(one)} paths are others"
    return ""
