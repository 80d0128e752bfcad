"""Importance of heads and who sets it, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from flowgauge.core.errors import NotApplicable
from flowgauge.methods.explanation import Explanation
from flowgauge.metrics.heads.head_importance import HeadScores, draws_of_heads, first_by_id, halves


def test_importance_is_the_mean_over_the_chosen_instances():
    scores = np.arange(12.0).reshape(3, 1, 2, 2)
    known = HeadScores(("b", "a", "c"), ("x", "x", "y"), scores)
    assert known.importance([2, 0]).tolist() == ((scores[0] + scores[2]) / 2).tolist()


def test_draws_are_read_one_by_one():
    one, two = Explanation(heads=np.array([[1.0, 2.0]])), Explanation(heads=np.array([[3.0, 4.0]]))
    assert draws_of_heads([Explanation(draws=(one, two))]).tolist() == [[[[1.0, 2.0]], [[3.0, 4.0]]]]
    with pytest.raises(NotApplicable, match="different numbers of draws"):
        draws_of_heads([Explanation(draws=(one, two)), one])


def test_halves_split_every_condition_evenly_in_any_order():
    names = [f"i{n}" for n in range(12)]
    conditions = ["a"] * 8 + ["b"] * 4
    half = halves(names, conditions, seed=0)
    assert (half[:8].sum(), half[8:].sum()) == (4, 2)
    assert halves(names[::-1], conditions[::-1], seed=0).tolist() == half[::-1].tolist()
    assert halves(names, conditions, seed=1).tolist() != half.tolist()


def test_first_by_id_counts_numbers_by_value():
    assert first_by_id(["a/10", "a/9", "b", "a/2"], 3) == [3, 1, 0]
