"""Patterns by hand, for metrics that read them."""

from __future__ import annotations

import pytest

from flowgauge.models.flow.graph import SKIP

T = 2


@pytest.fixture
def shown(make, model):
    """Two instances: words 0 (g = 2) and 1 (g = 1) positive and 3 (g = -4) negative; then one positive word, the target."""
    first = make.paths(
        [2.0, 1.0, -4.0],
        [[0, 0, 0, T], [1, 0, T, T], [3, T, T, T]],
        [1.0, 0.5, -1.0],
        [[SKIP, SKIP, 3], [0, 1, SKIP], [2, SKIP, 0]],
        [0.4, 0.2, -0.8],
    )
    second = make.paths([2.0], [[T, T, T, T]], [1.8], [[SKIP, SKIP, SKIP]], [0.9])
    batch = make.batch(model, [5, 4])
    return make.by_hand(model, batch, [make.explained(5, first), make.explained(4, second)])
