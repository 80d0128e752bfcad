"""What the checks of a training of gates say: which parameters may be chosen, which state is dead, whether it has converged."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

DIVERGENCE, AGREEMENT, KEPT, MULTIPLIER = range(4)
"""Columns of a check, which has a row for each depth."""
Check = Float[np.ndarray, "depths four"]
NOTHING = 0.01
"""Share of states kept at which almost nothing is left that a gate could give back."""
HALF = 0.5
"""Largest share of states kept at which gates of the first half of the training may be chosen."""
STUCK = 0.001
"""Largest share of states masked at a depth that may be stuck open: less than at the start, where it is .005."""
WINDOW = 3
"""Checks whose mean is compared with the mean of as many checks before."""
STILL = 0.05
"""Largest change of the share of states kept, between two windows, of a training that has converged."""
STEADY = 0.5
"""Largest change of the divergence, in margins, between two windows, of a training that has converged."""


class Rank(NamedTuple):
    """How good the parameters of a group of depths are; the smallest rank is chosen.

    Attributes:
        is_loose: Whether their divergence is beyond the accepted one, and only within the fallback limit.
        disagrees: Whether too few predictions stay.
        is_early: Whether they are of the first half of the training.
        kept: The share of states that they keep on held-out instances.
    """

    is_loose: bool
    disagrees: bool
    is_early: bool
    kept: float


class Limits(NamedTuple):
    """What held-out instances must show of the parameters that a training returns.

    Attributes:
        accepted: Largest divergence (nats), mean over the depths of a group, of parameters that meet the constraint.
        agreement: Smallest share of predictions that stay, mean over the depths of a group.
        fallback: Largest divergence (nats) of any single depth.
    """

    accepted: float
    agreement: float
    fallback: float

    def meets(self, rows: Check) -> bool:
        """Whether the constraint holds for a group: on average over its depths, and at none of them beyond the fallback."""
        divergence = rows[:, DIVERGENCE]
        return bool(divergence.mean() <= self.accepted and (divergence <= self.fallback).all())

    def rank(self, rows: Check, is_early: bool) -> Rank | None:
        """The rank of a group's parameters; None where they may not be chosen.

        At the start all gates are open and any limit is met, so that parameters of the first half of a training count only where
        at least half of the states are masked.

        Args:
            rows: The check of the depths of the group.
            is_early: Whether it is of the first half of the training.

        >>> Limits(0.1, 0.75, 0.3).rank(np.array([[0.2, 0.9, 0.4, 1.0]]), False)
        Rank(is_loose=True, disagrees=False, is_early=False, kept=0.4)
        """
        kept = float(rows[:, KEPT].mean())
        if not (rows[:, DIVERGENCE] <= self.fallback).all() or (is_early and kept > HALF):
            return None
        return Rank(not self.meets(rows), bool(rows[:, AGREEMENT].mean() < self.agreement), is_early, kept)

    def has_collapsed(self, row: Float[np.ndarray, " four"]) -> bool:
        """Whether a depth masks almost everything and violates its constraint: shut gates give no gradient of the divergence."""
        return bool(row[DIVERGENCE] > self.fallback and row[KEPT] < NOTHING)


def rises(history: Sequence[Check], depth: int) -> bool:
    """Whether the multiplier of a depth rose between each two of the last three checks."""
    values = [check[depth, MULTIPLIER] for check in history[-3:]]
    return len(values) == 3 and values[0] < values[1] < values[2]


def is_stuck_open(history: Sequence[Check], depth: int) -> bool:
    """Whether the gates of a depth stay open although nothing holds them: their probe is where the penalty has no gradient.

    That is so where more is kept than at the start, over three checks, while the multiplier is 0.
    """
    rows = np.array([check[depth] for check in history[-3:]])
    is_held = len(rows) < 3 or bool((rows[:, MULTIPLIER] > 0).any())
    return not is_held and bool(rows[:, KEPT].min() > 1 - STUCK)


def unsettled(history: Sequence[Check], limits: Limits, margin: float) -> Iterator[str]:
    """Why a training has not converged, one reason a line; nothing where it has.

    The means of the last three checks are held against those of the three before, depth by depth.

    Args:
        history: The checks in order, at least two windows of them.
        limits: Of the training.
        margin: The divergence (nats) that masking may cost.
    """
    before, last = (np.mean(part, 0) for part in (history[-2 * WINDOW : -WINDOW], history[-WINDOW:]))
    moved = np.abs(last - before)
    checks = (
        (moved[:, KEPT], STILL, "the share kept still moves by up to {:.2f}"),
        (moved[:, DIVERGENCE], STEADY * margin, "the divergence still moves by up to {:.3g} nats"),
        (last[:, DIVERGENCE], limits.fallback, "masking costs up to {:.3g} nats, more than the fallback allows"),
    )
    for values, most, text in checks:
        depths = np.flatnonzero(~(values <= most))
        if len(depths):
            yield f"{text.format(values[depths].max())} at {_depths(depths.tolist(), len(last))}"


def is_judged(history: Sequence[Check]) -> bool:
    """Whether there are enough checks for `unsettled`."""
    return len(history) >= 2 * WINDOW


def _depths(depths: Sequence[int], count: int) -> str:
    """Depths in words.

    >>> _depths([0, 2], 4), _depths([1], 4), _depths([0, 1], 2)
    ('depths 0, 2', 'depth 1', 'every depth')
    """
    if len(depths) == count:
        return "every depth"
    return f"depth{'s' if len(depths) > 1 else ''} {', '.join(map(str, depths))}"
