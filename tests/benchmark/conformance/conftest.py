"""Plug-ins that break one promise each, and a model for them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import ModuleType

import pytest

from flowgauge.benchmark.conformance import Finding
from flowgauge.core.registry import load_file
from flowgauge.models.flow.flow_model import FlowModel
from flowgauge.models.load import load_model


@pytest.fixture(scope="session")
def plugins() -> ModuleType:
    return load_file(Path(__file__).with_name("broken.py"))


@pytest.fixture
def model(tiny_bert: Path) -> FlowModel:
    """A model of the test's own: some plug-ins change it."""
    return load_model(str(tiny_bert), dtype="float64")


def broken(findings: Sequence[Finding]) -> set[str]:
    return {finding.check for finding in findings if not finding.ok}
