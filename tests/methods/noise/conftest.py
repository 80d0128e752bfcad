"""The toy models and data of the tests of masks, for the tests of noise."""

from tests.methods.masks.conftest import digits, four, toy

__all__ = ["digits", "four", "toy"]
