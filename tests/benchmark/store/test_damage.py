"""Damaged files of a cell: a run notices and computes them again, and what is whole stays."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from flowgauge.benchmark.engine.rescore import rescore
from flowgauge.benchmark.engine.run import run
from flowgauge.benchmark.store.explanation_file import to_bytes
from flowgauge.benchmark.store.store import Store


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
