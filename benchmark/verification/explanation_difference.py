"""Whether two explanations agree up to rounding, and the outcomes of running methods again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from ...methods.explanation import MASK_COMPANIONS, VIEWS, Explanation
from ...models.flow.graph import Patterns

TOLERANCE = {"float64": 1e-3, "float32": 1e-3}
"""How far values may differ, as a share of the largest of their view, by the model's dtype. Large views are stored with three
digits."""
COARSE = 5e-2
"""How far values may differ in half precision."""
TIES = 0.1
"""Share of paths that may differ although their influence does not: several paths may have the same influence."""
NUMBERS = ("total", "influence", "head_influence")


@dataclass(frozen=True)
class RerunOutcome:
    """The outcome of running a method again on some of its instances.

    Attributes:
        instances: Number of instances that were explained again.
        differing: Number of instances with another explanation than the stored one.
        first: The first of these instances, and how its explanation differs.
        trained: Whether the method was trained again for it.
    """

    instances: int
    differing: int = 0
    first: str = ""
    trained: bool = False


@dataclass(frozen=True, eq=False)
class SecretSeedScores:
    """The outcome of running methods on instances that were drawn with a secret seed.

    Attributes:
        instances: Number of instances.
        rows: Score rows by the 12 digits of a cell and the identity of a metric.
        missing: Why a cell has no rows, by its 12 digits.
    """

    instances: int
    rows: Mapping[tuple[str, str], pd.DataFrame]
    missing: Mapping[str, str]


def tolerance(dtype: str) -> float:
    """How far the values of two explanations may differ, as a share of the largest value of their view.

    >>> tolerance("float32"), tolerance("bfloat16")
    (0.001, 0.05)
    """
    return TOLERANCE.get(dtype, COARSE)


def difference(stored: Explanation, computed: Explanation, within: float) -> str:
    """How two explanations differ, in words.

    Args:
        stored: The explanation that a submission has.
        computed: The explanation that was computed here.
        within: The tolerance of the cell's dtype.

    Returns:
        The first difference; empty where the explanations agree.

    >>> difference(Explanation(tokens=np.array([2.0, 1.0])), Explanation(tokens=np.array([2.0, 0.0])), 1e-3)
    'tokens differ by up to 50 % of the largest'
    """
    if len(stored.draws) != len(computed.draws) or stored.views != computed.views:
        return f"it has {_views(stored)}, here it has {_views(computed)}"
    for draw, (left, right) in enumerate(zip(stored.each(), computed.each(), strict=True)):
        views = (_view_difference(view, left, right, within) for view in (*VIEWS, *MASK_COMPANIONS))
        first = next((text for text in (*views, _reported_difference(left, right, within)) if text), "")
        if first:
            return f"{first}, draw {draw}" if stored.draws else first
    return ""


def _views(explanation: Explanation) -> str:
    draws = f" in {len(explanation.draws)} draws" if explanation.draws else ""
    return f"{', '.join(sorted(explanation.views))}{draws}"


def _view_difference(name: str, stored: Explanation, computed: Explanation, within: float) -> str:
    left, right = getattr(stored, name), getattr(computed, name)
    if left is None or right is None:
        return "" if left is right else f"only one of them has {name}"
    if isinstance(left, Patterns):
        return _pattern_difference(left, right, within)
    return _array_difference(name, left, right, within)


def _array_difference(name: str, stored: np.ndarray, computed: np.ndarray, within: float) -> str:
    if stored.shape != computed.shape:
        return f"{name} have shape {stored.shape}, here {computed.shape}"
    left, right = stored.astype(float), computed.astype(float)
    worst, largest = float(np.abs(left - right).max(initial=0)), float(np.abs(right).max(initial=0))
    if worst <= within * largest:
        return ""
    return f"{name} differ by up to {100 * worst / largest:.3g} % of the largest" if largest else f"{name} should all be 0"


def _reported_difference(stored: Explanation, computed: Explanation, within: float) -> str:
    """Compares numbers about the explanation itself; 1 is added to their size, since errors near 0 differ by rounding only."""
    if stored.values.keys() != computed.values.keys():
        names, here = ", ".join(sorted(stored.values)) or "no values", ", ".join(sorted(computed.values)) or "none"
        return f"it reports {names}, here {here}"
    for name, value in computed.values.items():
        if abs(stored.values[name] - value) > within * (1 + abs(value)):
            return f"its {name} is {stored.values[name]:.4g}, here {value:.4g}"
    return ""


def _pattern_difference(stored: Patterns, computed: Patterns, within: float) -> str:
    """Compares influences as those of views; of the paths themselves a few may differ, which tie with others."""
    if not np.array_equal(stored.source, computed.source) or stored.positions.shape != computed.positions.shape:
        return "paths start at other words"
    for name in NUMBERS:
        left, right = getattr(stored, name), getattr(computed, name)
        if (left is None) != (right is None):
            return f"only one of them has {name} of paths"
        text = "" if left is None else _array_difference(f"{name} of paths", left, right, within)
        if text:
            return text
    differs = (stored.positions != computed.positions).any((1, 2))
    if stored.heads is not None and computed.heads is not None:
        differs |= (stored.heads != computed.heads).reshape(len(stored), -1).any(1)
    if differs.sum() > max(1, TIES * len(stored)):
        return f"{int(differs.sum())} of {len(stored)} paths are others"
    return ""
