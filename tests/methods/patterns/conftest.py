"""Path traces for the tests of patterns."""

from __future__ import annotations

import pytest

from flowgauge.models.batch import Batch
from flowgauge.models.flow.flow_model import FlowModel
from flowgauge.models.flow.trace import PathTrace, path_trace

TOLERANCE = 1e-9


@pytest.fixture
def trace(model: FlowModel, batch: Batch) -> PathTrace:
    return path_trace(model, batch, samples=6)
