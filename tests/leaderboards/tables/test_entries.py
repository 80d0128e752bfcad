"""Numbers of tables: stored, scaled, over seeds, or the reason why there is none."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from flowgauge.benchmark.store.store import Store
from flowgauge.leaderboards.stored.comparable_cells import groups
from flowgauge.leaderboards.tables.columns import Column
from flowgauge.leaderboards.tables.entries import TableEntry, column_entry, of_whole_set, ranked_entry, read_entry

from ..conftest import record, rows, score, write

KEPT = Column(key="kept", title="kept", metric="kept", variant="all", format="share")
SECONDS = Column(key="seconds", title="s/inst", metric="", variant="", format="number")


def test_a_stored_number_is_scaled_with_its_interval() -> None:
    entry = read_entry(record("a", [score("kept", {"all": (2.0, 1.0, 4.0)})]), "kept", "all", scale=10)
    assert (entry.value, entry.low, entry.high, entry.count) == (20, 10, 40, 8) and entry.known


def test_a_missing_number_has_its_reason() -> None:
    assert read_entry(None, "kept", "all").reason == "not run"
    assert read_entry(record("a"), "kept", "all").reason == "not scored with kept"
    assert math.isnan(read_entry(record("a"), "kept", "all").value)


def test_scores_of_an_instance_are_averaged_over_seeds_before_the_interval(tmp_path: Path) -> None:
    """Two seeds that are right on opposite halves have the same mean everywhere: no spread, no interval."""
    store = Store(str(tmp_path / "store"))
    for seed, right in ((0, [1, 1, 0, 0]), (1, [0, 0, 1, 1])):
        summary = score("kept", {"all": 0.5}, ranked="all")
        write(store, record("drawn", [summary], seed=seed, instances=4), {"kept@1": rows(np.array(right, float))})
    (group,) = groups(store.records())
    entry = column_entry(store, group, group.records, KEPT)
    assert (entry.value, entry.count, entry.undefined) == (0.5, 4, 0) and math.isnan(entry.low) and math.isnan(entry.high)
    assert column_entry(store, group, group.records, SECONDS).value == 0.5


def test_numbers_of_the_whole_set_are_averaged_without_an_interval(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "store"))
    records = [
        record("drawn", [score("kept", {"all": value}, ranked="all", scope="set")], seed=s) for s, value in enumerate((0.2, 0.6))
    ]
    (group,) = groups(records)
    entry = column_entry(store, group, records, KEPT)
    assert of_whole_set(records, "kept") and entry.value == 0.4 and math.isnan(entry.low) and entry.count == 8


def test_the_ranking_gives_mean_and_interval_and_the_record_the_rest() -> None:
    stored = TableEntry(value=0.5, low=0.4, high=0.6, count=8, undefined=1, spread=0.1, reason="no words.")
    assert ranked_entry(stored, [0.5, 0.3, 0.7], 8) == TableEntry(0.5, 0.3, 0.7, 8, 1, 0.1, "no words.")
