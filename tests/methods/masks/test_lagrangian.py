"""Multipliers rise while constraints are violated."""

from __future__ import annotations

import math

import pytest
import torch

from flowgauge.methods.masks.lagrangian import MOST, Multipliers


def test_multipliers_rise_while_broken_fall_while_kept_and_stay_in_range() -> None:
    held = Multipliers.start(3)
    held.ascend(torch.tensor(2.0), 1)
    assert held.value.tolist() == pytest.approx([1, 1 + 0.3 * 2 / math.sqrt(0.01 * 4), 1])
    assert held.square.tolist() == pytest.approx([0, 0.04, 0])
    for _ in range(2000):
        held.ascend(torch.tensor([5.0, -0.1, 0.0]))
    assert held.value.tolist() == [MOST, 0, 1]
    held.ascend(torch.tensor([math.nan, math.inf, 1.0]))
    assert held.value[:2].tolist() == [MOST, 0]
    assert held.value[2] > 1


def test_multipliers_go_on_from_a_checkpoint() -> None:
    whole, first = Multipliers.start(2), Multipliers.start(2)
    excess = [torch.tensor([0.3, -0.1]), torch.tensor([-0.2, 0.4])]
    for e in excess:
        whole.ascend(e)
    first.ascend(excess[0])
    second = Multipliers.start(2)
    second.restore(first.state())
    second.ascend(excess[1])
    assert torch.equal(second.value, whole.value)


def test_multipliers_that_start_anew_leave_others() -> None:
    multipliers = Multipliers.start(3)
    multipliers.ascend(torch.ones(3))
    multipliers.restart(slice(1, 3))
    assert multipliers.value.tolist() == pytest.approx([4, 1, 1])
    assert multipliers.square[0] > 0 and not multipliers.square[1:].any()
