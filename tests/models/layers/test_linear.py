"""Linear maps that are parts of a module: their weights follow the module."""

from __future__ import annotations

import pytest
import torch
from transformers.pytorch_utils import Conv1D

from flowgauge.models.layers.linear import Linear, LinearPart, interleaved_thirds, thirds


@pytest.mark.parametrize("transposed", [False, True])
def test_thirds_are_queries_keys_and_values(transposed) -> None:
    whole = Conv1D(12, 8) if transposed else torch.nn.Linear(8, 12)
    torch.nn.init.normal_(whole.bias)
    x = torch.randn(3, 8)
    for found, expected in zip(thirds(whole, transposed), whole(x).split(4, -1), strict=True):
        assert isinstance(found, Linear)
        torch.testing.assert_close(found(x), expected)


def test_interleaved_thirds_are_those_of_each_head() -> None:
    whole, x = torch.nn.Linear(8, 24), torch.randn(3, 8)
    expected = whole(x).unflatten(-1, (2, 3, 4)).unbind(-2)
    for found, one in zip(interleaved_thirds(whole, heads=2), expected, strict=True):
        torch.testing.assert_close(found(x), one.flatten(-2))


def test_a_part_follows_its_module_to_another_type_and_needs_no_bias() -> None:
    whole = torch.nn.Linear(8, 12, bias=False)
    part = LinearPart(whole, lambda rows: rows[2:5])
    whole.double()
    assert part.weight.dtype == torch.float64 and part.bias is None and part(torch.ones(8).double()).shape == (3,)
