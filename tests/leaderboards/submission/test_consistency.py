"""Checks of a bundle in itself, without a model."""

from __future__ import annotations

from pathlib import Path

from flowgauge.benchmark.store.store import Store
from flowgauge.leaderboards.submission.consistency import SUMMARY, aggregate_faults, check_cell, check_trainings, read_record
from flowgauge.metrics.scores import Aggregate

from ..forged import edit_json


def test_an_honest_cell_has_no_fault(honest: Path) -> None:
    store = Store(str(honest / "cells"))
    for cell in store.cells():
        record, faults = read_record(store, cell)
        assert record is not None and faults == [] and list(check_cell(cell, record)) == []
    assert check_trainings(store, [], []) == ([], {})


def test_a_record_is_read_with_its_types(bundle: Path) -> None:
    store = Store(str(bundle / "cells"))
    cell = store.cells()[0]
    edit_json(Path(cell.path) / "record.json", lambda data: data | {"correct": True})
    record, (fault,) = read_record(store, cell)
    assert record is None and fault.startswith("its record cannot be read: a value has another type than flowgauge writes")


def test_the_first_difference_of_each_variant_is_said() -> None:
    ours = [Aggregate("a", 0.5, 0.4, 0.6, 8), Aggregate("b", 0.5, 0.4, 0.6, 8, sd_draws=0.1)]
    theirs = {"a": Aggregate("a", 0.5, 0.41, 0.7, 9), "b": ours[1]}
    assert list(aggregate_faults(theirs, ours, SUMMARY, "its rows give")) == ["low of a is 0.41, its rows give 0.4."]
    assert list(aggregate_faults(theirs, ours, SUMMARY, "recomputed", 0.1)) == ["count of a is 9, recomputed 8."]
    other = {"a": ours[0], "b": Aggregate("b", 0.5, 0.4, 0.6, 8)}
    assert list(aggregate_faults(other, ours, SUMMARY, "recomputed")) == ["sd_draws of b is nan, recomputed 0.1."]
