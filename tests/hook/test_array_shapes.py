"""The shape hook is on: a wrong shape handed to flowgauge's own functions fails a test."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from jaxtyping import TypeCheckError

from flowgauge.methods.explanation import Explanation
from flowgauge.methods.views import best_paths
from flowgauge.models.outputs import strongest_other


def test_a_right_shape_passes() -> None:
    assert strongest_other(torch.tensor([[1.0, 3.0, 2.0]]), torch.tensor([1])).tolist() == [2]


@pytest.mark.parametrize(
    ("logits", "answer"),
    [
        (torch.zeros(2, 3), torch.zeros(3, dtype=torch.long)),
        (torch.zeros(2, 3, 1), torch.zeros(2, dtype=torch.long)),
        (torch.zeros(2, 3), torch.zeros(2)),
    ],
    ids=["rows", "axes", "dtype"],
)
def test_a_wrong_shape_or_dtype_of_a_tensor_is_refused(logits: torch.Tensor, answer: torch.Tensor) -> None:
    with pytest.raises(TypeCheckError, match="strongest_other"):
        strongest_other(logits, answer)


def test_a_wrong_shape_of_an_array_is_refused() -> None:
    with pytest.raises(TypeCheckError, match="best_paths"):
        best_paths(np.zeros((2, 3, 4)), 0)


def test_what_validates_itself_answers_in_its_own_words() -> None:
    with pytest.raises(ValueError, match="must have 2 axes"):
        Explanation(nodes=np.zeros(3))
