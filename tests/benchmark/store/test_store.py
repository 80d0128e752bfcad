"""A store: where it can be, and where it cannot."""

from __future__ import annotations

import pytest

from flowgauge.benchmark.engine.run import run
from flowgauge.benchmark.store.store import Store
from flowgauge.core.errors import UsageError


def test_a_store_that_cannot_be_written_is_refused(make_plan, tmp_path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot write the store"):
        run(make_plan(store=str(tmp_path / "file" / "store")))


def test_memory_stores_work(make_plan) -> None:
    plan = make_plan(store="memory://bucket/results")
    assert run(plan).records == run(plan).records
    assert len(Store(plan.store).records()) == 1
