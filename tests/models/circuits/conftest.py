"""Models of every kind of layer with batches that have counterparts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from tests.models.conftest import FAMILIES, VOCABULARY, batches, make_batch, make_model, models

from flowgauge.models.batch import Batch
from flowgauge.models.flow.flow_model import FlowModel

__all__ = ["batches", "models"]


@pytest.fixture(scope="session", params=list(FAMILIES))
def any_model(request: pytest.FixtureRequest) -> FlowModel:
    """A random model of each family in float64."""
    return make_model(request.param)


@pytest.fixture(scope="session")
def paired() -> Callable[[FlowModel], Batch]:
    """`paired(model)`: three sentences of different lengths, whose counterparts have another second word."""

    def build(model: FlowModel) -> Batch:
        batch = make_batch(model, [6, 5, 4])
        other = batch.ids.clone()
        other[:, 1] = (other[:, 1] - 5 + torch.tensor([7, 19, 31])) % (VOCABULARY - 5) + 5
        return replace(batch, counterpart=other)

    return build
