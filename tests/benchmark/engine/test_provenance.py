"""What a record says of the software and the machine."""

from __future__ import annotations

import pytest

from flowgauge.benchmark.engine.run import run
from flowgauge.benchmark.loading.model_handle import ModelHandle


def test_batch_size_is_provenance(make_plan, rows_of, monkeypatch) -> None:
    first = run(make_plan())
    monkeypatch.setattr(ModelHandle, "load", lambda _: pytest.fail("the model was loaded"))
    second = run(make_plan(batch_size=3))
    assert second.records[0].cell == first.records[0].cell
    assert second.records[0].provenance.batch_size == 5
