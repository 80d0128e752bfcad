"""Scores that are recomputed from stored explanations."""

from __future__ import annotations

import pandas as pd
import pytest

from flowgauge.benchmark.verification.recompute_scores import ScoreRecomputer, sampled
from flowgauge.core.errors import FlowgaugeError

METRIC = "comprehensiveness@1"


def test_recomputed_rows_are_the_stored_ones(explained) -> None:
    (record,) = explained.records()
    stored = explained.find(record).rows(METRIC).set_index(["instance", "variant", "draw"])["value"].sort_index()
    for sample, instances in ((2, 2), (99, 4)):
        rows = ScoreRecomputer(device="cpu")(explained, record, METRIC, sample).rows
        assert rows["instance"].nunique() == instances
        recomputed = rows.set_index(["instance", "variant", "draw"])["value"].sort_index()
        pd.testing.assert_series_equal(recomputed, stored[recomputed.index], rtol=1e-4, atol=1e-5)


def test_a_sample_is_drawn_by_its_seed(explained) -> None:
    (record,) = explained.records()
    _, batches = ScoreRecomputer(device="cpu").encoded(explained, record)

    def names(sample: int, seed: int) -> list[str]:
        return [name for batch in sampled(batches, sample, seed).encoded.batches for name in batch.names]

    every = names(99, 0)
    assert len(every) == 4 and names(2, 0) == names(2, 0) and set(names(2, 0)) < set(every)
    assert len({tuple(names(2, seed)) for seed in range(6)}) > 1


def test_what_a_score_says_of_its_metric_is_compared(explained) -> None:
    (record,) = explained.records()
    score = record.scores[METRIC]
    other = record.model_copy(update={"scores": {METRIC: score.model_copy(update={"unit": "apples"})}})
    with pytest.raises(FlowgaugeError, match=f"its unit is 'apples', {METRIC} has"):
        ScoreRecomputer(device="cpu")(explained, other, METRIC, 1)
    matched = record.model_copy(update={"scores": {METRIC: score.model_copy(update={"reference": "attention-000000000000"})}})
    with pytest.raises(FlowgaugeError, match="the cell attention-000000000000 that its budget is matched to is not there"):
        ScoreRecomputer(device="cpu")(explained, matched, METRIC, 1)
