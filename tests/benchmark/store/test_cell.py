"""The folder of a cell: its name, and records and scores that are not its own."""

from __future__ import annotations

import shutil
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


def test_the_record_of_another_cell_is_left_out_and_mended(make_plan, caplog) -> None:
    two = make_plan(seeds=(0, 1), methods=("random",))
    records = run(two).records
    one, other = (Path(Store(two.store).find(record).path) for record in records)
    (one / "record.json").write_bytes((other / "record.json").read_bytes())
    shutil.copytree(other, other.with_name("random-000000000000"))
    assert Store(two.store).records() == [records[1]]
    assert caplog.text.count(f"is the record of another cell, {other.name}, and left out") == 2
    assert [record.cell for record in run(two).records] == [record.cell for record in records]
    assert len(Store(two.store).records()) == 2


def test_the_scores_of_another_metric_are_not_taken_for_those_of_a_cell_without_record(make_plan, plug, rows_of) -> None:
    results = run(make_plan())
    rescore(make_plan().store, plug("token-sum:power=2"))
    cell = results.cell(results.records[0])
    one, other = sorted(Path(cell.path, "scores").iterdir())
    other.write_bytes(one.read_bytes())
    assert cell.read_score(one.stem) is not None and cell.read_score(other.stem) is None
