"""The tiny models and batches of the tests of models, for the tests of speed."""

from tests.models.conftest import batches, models

__all__ = ["batches", "models"]
