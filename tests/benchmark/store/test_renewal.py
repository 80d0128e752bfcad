"""Intervals of version 0.1 become today's, wherever a record is read."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flowgauge.benchmark.store.record import Provenance, Record, Score
from flowgauge.benchmark.store.renewal import count_old, is_old, renew, renewable, renewed, renewed_score
from flowgauge.benchmark.store.store import Cell, Store
from flowgauge.core.errors import FlowgaugeError
from flowgauge.metrics.scores import NO_INTERVAL, Aggregate, frame
from flowgauge.metrics.statistics.intervals import INTERVALS, mean_intervals

PROVENANCE = Provenance(flowgauge="0", python="3", platform="here", packages={}, device="cpu", threads=1, batch_size=1)
VALUES = {"all": [1.0, 1.0, 1.0, 0.0, 1.0, 1.0], "share": [0.1, 0.9, 0.4, math.nan, 0.7, 0.2]}
CONDITIONS = np.array(["S", "P"] * 3)


def old(**fields: Any) -> Score:
    """A score whose means are those of `VALUES`, with ends that nobody can check."""
    aggregates = [
        Aggregate(name, float(np.nanmean(values)), 0.44, 0.46, int(np.isfinite(values).sum()), int(np.isnan(values).sum()), 0.125)
        for name, values in VALUES.items()
    ]
    plain = {"metric": "kept@1", "name": "kept", "version": 1, "settings": {}, "aggregates": tuple(aggregates), "ranked": "all"}
    return Score(**{**plain, "bounds": (0.0, 1.0), **fields})


def stored(folder: Path, score: Score, values: Mapping[str, Sequence[float]] | None = None) -> tuple[Cell, Record]:
    """The cell of one score, written as version 0.1 did."""
    store = Store(str(folder / "store"))
    record = Record(
        cell="0" * 12, key={}, model="m", task="t", method="a", seed=None, settings={}, status="done", instances=6,
        scores={score.metric: score}, provenance=PROVENANCE,
    )  # fmt: skip
    cell = store.find(record)
    rows = [
        {"instance": f"i{n}", "condition": CONDITIONS[n], "variant": name, "draw": 0, "value": x,
         "reason": "" if x == x else "no."}
        for name, of_name in (VALUES if values is None else values).items() for n, x in enumerate(of_name)
    ]  # fmt: skip
    cell.write_scores(score, frame(rows))
    record = record.model_copy(update={"files": cell.sums()})
    cell.write_record(record)
    return store.find(record), record


def ends(score: Score) -> dict[str, tuple[float, float]]:
    return {aggregate.variant: (aggregate.low, aggregate.high) for aggregate in score.aggregates}


def test_means_keep_their_numbers_and_get_the_interval_of_their_rows(tmp_path: Path) -> None:
    cell, record = stored(tmp_path, old())
    score = renewed(cell, record).scores["kept@1"]
    expected = mean_intervals(np.array(list(VALUES.values())), CONDITIONS, bounds=(0.0, 1.0))
    assert ends(score) == {name: (low, high) for name, (_, low, high) in zip(VALUES, expected.tolist(), strict=True)}
    assert score.intervals == INTERVALS and not is_old(score) and count_old(record) == 1
    for before, after in zip(old().aggregates, score.aggregates, strict=True):
        assert (before.value, before.count, before.undefined, before.sd_draws) == (
            after.value, after.count, after.undefined, after.sd_draws,
        )  # fmt: skip


def test_what_is_of_today_is_not_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cell, record = stored(tmp_path, old(intervals=INTERVALS))
    monkeypatch.setattr(Cell, "read", lambda *_: pytest.fail("it was read"))
    assert renewed(cell, record) is record and renewable(cell, record) is record


def test_a_process_summarises_rows_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cell, record = stored(tmp_path, old(unit="of this test"))
    first = renewed(cell, record)
    monkeypatch.setattr(Cell, "rows", lambda *_: pytest.fail("it was read again"))
    assert renewed(Store(str(tmp_path / "store")).find(record), record) == first


def test_aggregates_without_rows_say_what_computes_their_interval(tmp_path: Path) -> None:
    ratio = Aggregate("ratio", 0.3, 0.2, 0.4, 6, reason="two are undefined.", bias=0.1)
    cell, record = stored(tmp_path, old(aggregates=(*old().aggregates, ratio), metric="kept@1-0123abcd", settings={"k": 2}))
    score = renewed_score(cell, record.scores["kept@1-0123abcd"])
    assert [math.isnan(aggregate.low) for aggregate in score.aggregates] == [False, False, True] and is_old(score)
    assert score.aggregates[2].value == 0.3 and score.aggregates[2].bias is None
    assert score.aggregates[2].reason == (
        f"two are undefined; {NO_INTERVAL} to be computed anew, which `flowgauge score {tmp_path}/store --metric kept:k=2` does."
    )
    assert renewable(cell, record) == record, "a record is written where all of its intervals are today's"


def test_scores_of_the_whole_set_have_no_rows(tmp_path: Path) -> None:
    undefined = Aggregate("none", math.nan, math.nan, math.nan, 0, 6, reason="no words.")
    cell, record = stored(tmp_path, old(scope="set", aggregates=(*old().aggregates, undefined)))
    first, _, last = renewed_score(cell, record.scores["kept@1"]).aggregates
    assert math.isnan(first.low) and NO_INTERVAL in first.reason and last.reason == "no words."


def test_a_mean_that_its_rows_do_not_give_is_not_shown(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    cell, record = stored(
        tmp_path, old(), {name: values[::-1] if name == "all" else [0.5] * 6 for name, values in VALUES.items()}
    )
    score = renewed_score(cell, record.scores["kept@1"])
    assert [aggregate.value for aggregate in score.aggregates] == [pytest.approx(5 / 6), 0.5]
    assert "value of share is 0.46, its rows give 0.5; its rows are right." in caplog.text
    assert is_old(score) and renewable(cell, record) == record, "and nothing is written over it"


@pytest.mark.parametrize("damage", [lambda path: path.unlink(), lambda path: path.write_bytes(b"PAR1")])
def test_without_rows_there_is_no_interval(tmp_path: Path, damage: Any) -> None:
    cell, record = stored(tmp_path, old())
    damage(Path(cell.scores_path("kept@1")))
    record = record.model_copy(update={"files": {name: "0" * 64 for name in record.files}})
    score = renewed_score(Cell(cell.files, cell.path, record), record.scores["kept@1"])
    assert all(math.isnan(aggregate.low) and f"{NO_INTERVAL} its rows: " in aggregate.reason for aggregate in score.aggregates)
    assert [aggregate.value for aggregate in score.aggregates] == [aggregate.value for aggregate in old().aggregates]


def test_a_store_is_renewed_once_and_its_rows_stay(tmp_path: Path) -> None:
    cell, record = stored(tmp_path, old())
    url, before = str(tmp_path / "store"), cell.sums()
    assert renew(url) == (1, 1, ())
    (after,) = Store(url).records()
    assert after == renewed(cell, record) and after.files == before == cell.sums()
    assert renew(url) == (0, 0, ())


def test_what_has_to_be_computed_anew_is_named(tmp_path: Path) -> None:
    stored(tmp_path, old(scope="set"))
    assert renew(str(tmp_path / "store")) == (0, 0, ("kept",))


def test_a_later_version_is_refused_in_one_line(tmp_path: Path) -> None:
    cell, record = stored(tmp_path, old())
    path = Path(cell.path) / "record.json"
    text = record.model_dump_json()
    path.write_text(text.replace('"intervals":1', '"intervals":999'))
    with pytest.raises(FlowgaugeError, match=r"^a score has intervals of version 999, .* up to 2: install a newer flowgauge\.$"):
        Store(str(tmp_path / "store")).records()
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        old(intervals=0)
