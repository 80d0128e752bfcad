"""What an explanation refuses."""

from __future__ import annotations

import numpy as np
import pytest

from flowgauge.methods.explanation import Explanation
from flowgauge.models.circuits.circuit_graph import CircuitGraph
from flowgauge.models.flow.graph import Patterns, Subgraph


def test_explanations_refuse_what_is_not_one():
    with pytest.raises(ValueError, match="'tokens' has 1 of 2 values that are NaN"):
        Explanation(tokens=np.array([1, np.nan]))
    with pytest.raises(ValueError, match="'nodes' must have 2 axes"):
        Explanation(nodes=np.ones(3))
    with pytest.raises(ValueError, match="at least one view"):
        Explanation()
    with pytest.raises(ValueError, match="heads must be"):
        Patterns(np.array([0]), np.ones(1), np.ones(1), np.zeros((1, 3, 1), int), heads=np.zeros((1, 3, 1, 1), int))
    with pytest.raises(ValueError, match="needs heads and skips"):
        Subgraph(np.ones((2, 2), bool), np.ones((1, 2, 2), bool))


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"tokens": np.array([1.0, 1j])}, "the view 'tokens' has complex numbers; scores are real"),
        ({"tokens": np.ones(2), "values": {"q": 1 + 2j}}, "the value 'q' is .* expected a finite real number"),
        ({"tokens": np.ones(2), "values": {f"v{n}": 0.0 for n in range(200_000)}}, "at most 1000 values, got 200000"),
    ],
)
def test_numbers_are_real_and_values_are_few(fields, said):
    with pytest.raises(ValueError, match=said):
        Explanation(**fields)


def test_a_circuit_has_a_shape_of_a_transformer_and_scores_on_edges_alone():
    shape = CircuitGraph(2, 3).shape
    with pytest.raises(ValueError, match="no transformer has 9 writers and 20 readers"):
        Explanation(circuit=np.zeros((9, 20)))
    backwards = np.zeros(shape)
    backwards[-1, 0] = 1
    with pytest.raises(ValueError, match="where there is no edge"):
        Explanation(circuit=backwards)
    assert Explanation(circuit=1.0 * CircuitGraph(2, 3).edges()).views == {"circuit"}
