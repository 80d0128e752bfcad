"""What metrics return: rows, aggregates, and cells to compare."""

from __future__ import annotations

import math

import numpy as np
import pytest
from pydantic import BaseModel
from tests.metrics.conftest import instance

from flowgauge.metrics.scores import COLUMNS, Aggregate, ExplainedCell, Scores, frame, score_row


def test_scores_need_the_columns_and_a_reason_for_nan():
    with pytest.raises(ValueError, match="need the columns"):
        Scores(frame([]).drop(columns="draw"))
    with pytest.raises(ValueError, match="1 scores are NaN without a reason, first for 'a'"):
        Scores(frame([score_row(instance("a"), "x", np.nan)]))
    assert list(Scores(frame([])).rows.columns) == list(COLUMNS)
    assert Aggregate("x", 1, 0, 2, 3).undefined == 0


def test_a_cell_to_compare_has_a_condition_an_instance():
    assert list(ExplainedCell(("a", "b"), ("x", "y"), ()).names) == ["a", "b"]
    with pytest.raises(ValueError, match="a condition an instance, got 1 for 2"):
        ExplainedCell(("a", "b"), ("x",), ())
    with pytest.raises(ValueError, match="a cluster an instance or none, got 1 for 2"):
        ExplainedCell(("a", "b"), ("x", "y"), (), ("p",))


def test_stored_aggregates_keep_what_json_has_no_number_for():
    class Stored(BaseModel):
        aggregates: tuple[Aggregate, ...]

    stored = Stored(aggregates=(Aggregate("x", math.nan, -math.inf, 2.0, 3, reason="no words."),))
    text = stored.model_dump_json()
    assert '"value":null,"low":"-inf","high":2.0,"count":3,"undefined":0,"sd_draws":null,"reason":"no words."' in text
    (read,) = Stored.model_validate_json(text).aggregates
    assert isinstance(read, Aggregate) and math.isnan(read.value) and (read.low, read.high, read.count) == (-math.inf, 2.0, 3)


def test_clusters_are_stored_where_there_are_any():
    class Stored(BaseModel):
        aggregates: tuple[Aggregate, ...]

    both = Stored(aggregates=(Aggregate("x", 1.0, 0.0, 2.0, 8), Aggregate("y", 1.0, 0.0, 2.0, 8, clusters=2)))
    text = both.model_dump_json()
    assert text.count("clusters") == 1 and text.endswith('"bias":null,"clusters":2}]}')
    assert Stored.model_validate_json(text) == both
