"""What a run returns, as tables."""

from __future__ import annotations

import math
from typing import Any

from flowgauge.benchmark.store.record import Provenance, Record, Score
from flowgauge.benchmark.store.results import COLUMNS, RunRecords
from flowgauge.metrics.scores import Aggregate

PROVENANCE = Provenance(flowgauge="1", python="3", platform="x", packages={}, device="cpu", threads=1, batch_size=1)
MEAN = Aggregate("mean", 0.5, 0.25, 0.75, 8)


def record(method: str, status: str = "done", scores: tuple[Score, ...] = (), **fields: Any) -> Record:
    return Record(
        cell="0" * 12, key={}, model="m", task="t", method=method, seed=None, settings={}, status=status, instances=8,
        scores={score.metric: score for score in scores}, provenance=PROVENANCE, **fields,
    )  # fmt: skip


def score(**fields: Any) -> Score:
    return Score(**{"metric": "a@1", "name": "a", "version": 1, "settings": {}, "ranked": "mean", **fields})


def test_the_summary_has_the_ranked_variant_or_why_there_is_none() -> None:
    records = (
        record("x", scores=(score(aggregates=(Aggregate("max", 9.0, 9.0, 9.0, 8), MEAN)),)),
        record("undefined", scores=(score(aggregates=(Aggregate("mean", math.nan, math.nan, math.nan, 0),)),)),
        record("broken", "failed", error="it failed"),
    )
    results = RunRecords("store", records)
    assert results.summary() == [
        ("task", "method", "n", "a@1\nmean"),
        ("t", "x", "8", "0.500 [0.250, 0.750]"),
        ("t", "undefined", "8", "n/a"),
        ("t", "broken", "8", "failed"),
    ]
    assert results.failed == (records[2],) and results.exit_code == 1
    assert RunRecords("store", records[:2]).exit_code == 0


def test_the_table_has_a_row_an_aggregate_and_one_for_what_has_none() -> None:
    frame = RunRecords(
        "store",
        (
            record("x", scores=(score(aggregates=(MEAN,)), score(metric="b@1", status="not-applicable", reason="no heads"))),
            record("broken", "failed", error="it failed"),
        ),
    ).to_pandas()
    assert tuple(frame.columns) == COLUMNS
    assert frame["method"].tolist() == ["x", "x", "broken"]
    assert frame["value"].tolist()[0] == 0.5 and frame["value"].isna().tolist() == [False, True, True]
    assert frame["reason"].tolist() == ["", "not-applicable: no heads", "it failed"]
