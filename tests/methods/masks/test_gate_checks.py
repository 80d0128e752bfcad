"""Which parameters may be chosen, which states are dead, and when a training has converged."""

from __future__ import annotations

import numpy as np
import pytest

from flowgauge.methods.masks.gate_checks import Limits, Rank, is_judged, is_stuck_open, rises, unsettled

LIMITS = Limits(0.1, 0.75, 0.3)


def check(*rows):
    """Rows of divergence, agreement, kept and multiplier."""
    return np.array(rows, float)


@pytest.mark.parametrize(
    ("rows", "is_early", "rank"),
    [
        ([(0.1, 0.75, 0.9, 1)], False, Rank(False, False, False, 0.9)),
        ([(0.1, 0.74, 0.9, 1)], False, Rank(False, True, False, 0.9)),
        ([(0.11, 1, 0.9, 1)], False, Rank(True, False, False, 0.9)),
        ([(0.31, 1, 0.1, 1)], False, None),
        ([(0.0, 1, 0.9, 1)], True, None),
        ([(0.0, 1, 0.4, 1)], True, Rank(False, False, True, 0.4)),
        ([(0.0, 1, 0.5, 1), (0.2, 0.5, 0.3, 1)], False, Rank(False, False, False, 0.4)),
        ([(0.0, 1, 0.5, 1), (0.2, 0.4, 0.3, 1)], False, Rank(False, True, False, 0.4)),
        ([(0.0, 1, 0.5, 1), (0.31, 1, 0.3, 1)], False, None),
        ([(np.nan, 1, 0.5, 1)], False, None),
    ],
)
def test_the_constraint_is_a_mean_over_depths_and_the_fallback_of_each(rows, is_early, rank) -> None:
    found = LIMITS.rank(check(*rows), is_early)
    assert found == (None if rank is None else pytest.approx(rank))


def test_the_constraint_comes_before_predictions_these_before_late_checks_and_these_before_the_share() -> None:
    flags = [(loose, unlike, early) for loose in (False, True) for unlike in (False, True) for early in (False, True)]
    ranks = [Rank(*each, 0.9 - 0.1 * n) for n, each in enumerate(flags)]
    assert sorted(reversed(ranks)) == ranks


def test_a_collapse_masks_almost_everything_and_costs_too_much() -> None:
    cases = [(0.31, 0.5, 0.005, 0), (0.3, 0.5, 0.005, 0), (0.31, 0.5, 0.02, 0)]
    assert [LIMITS.has_collapsed(np.array(row)) for row in cases] == [True, False, False]


def test_a_multiplier_rises_over_two_checks() -> None:
    history = [check((0, 1, 1, value)) for value in (3, 1, 2, 4, 4)]
    assert [rises(history[:count], 0) for count in range(1, 6)] == [False, False, False, True, False]


@pytest.mark.parametrize(
    ("kept", "multiplier", "stuck"), [((1, 0.9999, 1), 0, True), ((1, 1, 1), 0.1, False), ((1, 1, 0.995), 0, False)]
)
def test_gates_are_stuck_open_where_nothing_holds_them_and_they_do_not_close(kept, multiplier, stuck) -> None:
    history = [check((0, 1, share, multiplier)) for share in kept]
    assert is_stuck_open(history, 0) is stuck
    assert not is_stuck_open(history[1:], 0)


def test_a_training_has_converged_where_neither_number_moves_and_the_constraint_holds() -> None:
    still = [check((0.1, 0.9, 0.3, 1), (0.1, 0.9, 0.4, 1))] * 6
    assert is_judged(still) and not is_judged(still[1:])
    assert list(unsettled(still, LIMITS, 0.1)) == []
    closing = [check((0.1, 0.9, 0.9 - 0.03 * n, 1), (0.1, 0.9, 0.4, 1)) for n in range(6)]
    assert list(unsettled(closing, LIMITS, 0.1)) == ["the share kept still moves by up to 0.09 at depth 0"]
    rising = [check((0.1, 0.9, 0.3, 1), (0.05 + 0.02 * n, 0.9, 0.4, 1)) for n in range(6)]
    assert list(unsettled(rising, LIMITS, 0.1)) == ["the divergence still moves by up to 0.06 nats at depth 1"]
    lost = [check((0.5, 0.9, 0.3, 1), (0.4, 0.9, 0.4, 1))] * 6
    assert list(unsettled(lost, LIMITS, 0.1)) == ["masking costs up to 0.5 nats, more than the fallback allows at every depth"]
    assert len(list(unsettled([check((np.nan, 0, 0, 0))] * 6, LIMITS, 0.1))) == 2
