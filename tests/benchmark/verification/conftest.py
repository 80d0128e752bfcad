"""A small store that is recomputed, run again and run on other instances."""

from __future__ import annotations

import pytest

import flowgauge
from flowgauge.benchmark.store.store import Store


@pytest.fixture(scope="session")
def explained(tmp_path_factory) -> Store:
    """Gradient times input on four sentences of the embedded model."""
    url = str(tmp_path_factory.mktemp("explained") / "store")
    results = flowgauge.run(
        tasks="sva/obj",
        methods="gradient-x-input",
        metrics=["comprehensiveness", "concentration"],
        limit=4,
        store=url,
        device="cpu",
    )
    assert results.exit_code == 0
    return Store(url)
