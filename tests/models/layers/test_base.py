"""Rows at flat indices."""

from __future__ import annotations

import torch

from flowgauge.models.layers.base import select


def test_rows_are_selected_in_the_shape_of_their_indices() -> None:
    rows = torch.arange(12).view(6, 2)
    assert select(rows, None) is rows
    assert select(rows, torch.tensor([[5, 0], [1, 1]])).tolist() == [[[10, 11], [0, 1]], [[2, 3], [2, 3]]]
