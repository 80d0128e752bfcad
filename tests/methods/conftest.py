"""The tiny models and batches of the tests of models, for the tests of methods."""

from tests.models.conftest import batch, batches, counting, model, models, single

__all__ = ["batch", "batches", "counting", "model", "models", "single"]
