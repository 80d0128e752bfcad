"""The shape hook is on: a wrong shape handed to flowgauge's own functions fails a test."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from jaxtyping import Float, TypeCheckError
from tests.hook.array_shapes import checked
from torch import Tensor

from flowgauge.core.registry import settings
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


def test_what_is_returned_has_the_axes_of_what_was_given() -> None:
    @checked
    def repeated(x: Float[Tensor, " n"], times: int = 1, *, of: int = 0) -> Float[Tensor, " n"]:
        return x[of:].repeat(times)

    assert repeated(torch.ones(2)).tolist() == [1, 1]
    for more in ({"times": 2}, {"of": 1}):
        with pytest.raises(TypeCheckError, match=r"repeated\(\) return"):
            repeated(torch.ones(2), **more)


def test_a_constructor_is_checked() -> None:
    @checked
    @dataclass
    class Pair:
        one: Float[Tensor, " n"]
        other: Float[Tensor, " n"]

    assert len(Pair(torch.zeros(2), torch.zeros(2)).one) == 2
    with pytest.raises(TypeCheckError, match="Pair"):
        Pair(torch.zeros(2), torch.zeros(3))


def test_what_is_yielded_is_not_checked_and_what_is_given_is() -> None:
    @checked
    def rows(x: Float[Tensor, "n m"]) -> Iterator[Float[Tensor, " m"]]:
        yield from (x, x[0])

    assert [len(row) for row in rows(torch.zeros(2, 3))] == [2, 3]
    with pytest.raises(TypeCheckError, match=r"rows\(\) parameter x"):
        rows(torch.zeros(2))


def test_a_function_without_arrays_is_left_as_it_is() -> None:
    assert hasattr(strongest_other, "__wrapped__") and not hasattr(settings, "__wrapped__")
