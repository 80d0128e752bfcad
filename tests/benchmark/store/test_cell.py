"""The folder of a cell: its name, and damaged files in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from flowgauge.benchmark.engine.rescore import rescore
from flowgauge.benchmark.engine.run import run
from flowgauge.benchmark.store.store import Store, safe_name


def test_safe_names_stay_inside() -> None:
    assert safe_name("a/../../b c") == "a/_/_/b_c"
    assert safe_name("/") == "_"


@pytest.mark.parametrize("text", ["", '{"schema_version": 1', "[1]", '{"schema_version": "2x"}', '{"schema_version": 1}'])
def test_a_damaged_record_is_said_and_mended_with_its_scores(make_plan, plug, caplog, text) -> None:
    (record,) = run(make_plan()).records
    rescore(make_plan().store, plug("token-sum:power=2"))
    path = Path(Store(make_plan().store).find(record).path) / "record.json"
    path.write_text(text)
    assert Store(make_plan().store).records() == []
    assert "record.json is damaged" in caplog.text
    (mended,) = run(make_plan()).records
    assert mended.status == "done" and len(mended.scores) == 2
