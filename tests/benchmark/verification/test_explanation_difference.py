"""How two explanations differ, up to rounding and ties."""

from __future__ import annotations

import numpy as np

from flowgauge.benchmark.verification.explanation_difference import difference
from flowgauge.methods.explanation import Explanation
from flowgauge.models.flow.graph import Patterns


def paths(**fields) -> Explanation:
    plain = {
        "source": np.arange(4), "total": np.ones(4), "influence": np.ones(4), "positions": np.zeros((4, 3, 1), int),
    }  # fmt: skip
    return Explanation(patterns=Patterns(**{**plain, **fields}))


def test_a_tie_of_paths_is_no_difference_but_many_are():
    moved = np.zeros((4, 3, 1), int)
    moved[0, 1] = 2
    assert difference(paths(positions=moved), paths(), 1e-3) == ""
    moved[1, 1] = 2
    assert difference(paths(positions=moved), paths(), 1e-3) == "2 of 4 paths are others"
    assert difference(paths(influence=np.array([1, 1, 1, 1.1])), paths(), 1e-3) == (
        "influence of paths differ by up to 10 % of the largest"
    )
    assert difference(paths(source=np.array([0, 1, 2, 2])), paths(), 1e-3) == "paths start at other words"


def test_draws_gates_and_reported_numbers_count():
    one, other = Explanation(tokens=np.array([1.0])), Explanation(tokens=np.array([2.0]))
    assert difference(Explanation(draws=(one, one)), Explanation(draws=(one, other)), 1e-3) == (
        "tokens differ by up to 50 % of the largest, draw 1"
    )
    assert difference(Explanation(draws=(one,)), Explanation(draws=(one, one)), 1e-3) == (
        "it has tokens in 1 draws, here it has tokens in 2 draws"
    )
    mask = np.ones((2, 3))
    assert difference(Explanation(mask=mask, gate=mask), Explanation(mask=mask), 1e-3) == "only one of them has gate"
    zero = Explanation(tokens=np.array([0.0]))
    assert difference(one, zero, 1e-3) == "tokens should all be 0" and difference(zero, zero, 1e-3) == ""
    reported = Explanation(tokens=np.array([1.0]), values={"q_baseline": 1.0})
    assert difference(reported, one, 1e-3) == "it reports q_baseline, here none"
    assert difference(reported, Explanation(tokens=np.array([1.0]), values={"q_baseline": 2.0}), 1e-3) == (
        "its q_baseline is 1, here 2"
    )
