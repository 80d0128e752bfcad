"""The folder of a cell: its name, and damaged files in it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pandas as pd
import pytest

from flowgauge.benchmark.engine.rescore import rescore
from flowgauge.benchmark.engine.run import run
from flowgauge.benchmark.store.explanation_file import to_bytes
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


@pytest.mark.parametrize("kind", ["explanations", "scores"])
@pytest.mark.parametrize("harm", ["flipped", "cut", "gone"])
def test_a_damaged_file_of_a_finished_cell_is_noticed_and_mended(make_plan, plug, rows_of, caplog, kind, harm) -> None:
    results = run(make_plan())
    before, store = rows_of(results), Store(make_plan().store)
    path = next(Path(results.cell(results.records[0]).path, kind).iterdir())
    spoil(path, harm)
    (record,) = store.records()
    assert f"{kind}/{path.name} " in caplog.text and "`flowgauge run --store " in caplog.text and "mends it" in caplog.text
    again = rescore(store.url, plug("token-sum:power=3"))
    assert (again.exit_code, "mends it" in again.records[0].error) == ((1, True) if kind == "explanations" else (0, False))
    mended = run(make_plan())
    caplog.clear()
    assert Store(store.url).records() == list(mended.records) and caplog.text == ""
    assert mended.records[0].status == "done" and mended.records[0].cost.explanations == record.cost.explanations
    assert [len(part.sentences) for part in mended.cell(mended.records[0]).parts()] == [5, 5, 2]
    after = rows_of(mended)
    for name, rows in before.items():
        pd.testing.assert_frame_equal(rows, after[name])


def spoil(path: Path, harm: str) -> None:
    data = path.read_bytes()
    if harm == "gone":
        path.unlink()
    else:
        path.write_bytes(data[:-9] if harm == "cut" else data[:-9] + bytes([data[-9] ^ 1]) + data[-8:])


def test_explanations_of_an_instance_that_two_files_hold_are_computed_once(make_plan) -> None:
    """As in stores of version 0.1 that were killed at one batch size and resumed with another."""
    (record,) = run(make_plan(batch_size=4)).records
    cell = Store(make_plan().store).find(record)
    part = cell.part("explanations/00004.safetensors")
    Path(cell.path, "explanations", "00003.safetensors").write_bytes(to_bytes(part))
    again = run(make_plan(batch_size=3))
    assert [len(part.sentences) for part in again.cell(record).parts()] == [4, 4, 4]
    assert again.records[0].cost.explanations == record.cost.explanations


def test_the_record_of_another_store_is_no_reason_to_call_a_file_damaged(make_plan, tmp_path) -> None:
    (one,) = run(make_plan(limit=3)).records
    run(make_plan(limit=3, store=str(tmp_path / "other")))
    assert len(Store(str(tmp_path / "other")).find(one).rows(next(iter(one.scores)))) == 6


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
