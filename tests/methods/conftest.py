"""The tiny models and batches of the tests of models, for the tests of methods."""

import numpy as np
import pytest
from tests.models.conftest import batch, batches, counting, model, models, single

__all__ = ["batch", "batches", "counting", "model", "models", "single"]


@pytest.fixture
def edges():
    rng = np.random.default_rng(0)
    return rng.random((3, 4, 4))
