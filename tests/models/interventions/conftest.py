"""The builders of the tests of metrics: replaced states are tested by what reduced models compute with them."""

from __future__ import annotations

from tests.metrics.conftest import make

__all__ = ["make"]
