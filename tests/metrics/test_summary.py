"""Aggregates of score rows, by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tests.metrics.conftest import instance, rows_of

from flowgauge.metrics.scores import frame, score_row
from flowgauge.metrics.statistics.intervals import mean_intervals
from flowgauge.metrics.summary import summarise


def test_every_condition_is_a_stratum(skewed):
    """The interval is that of the instances' means, wherever the rows stand."""
    ours = summarise(rows_of({"x": list(skewed.values)}, skewed.conditions))[0]
    expected = mean_intervals(np.array(skewed.values)[None], np.array(skewed.conditions))[0]
    assert (ours.value, ours.low, ours.high) == pytest.approx(tuple(expected), rel=1e-12)
    assert ours.low != summarise(rows_of({"x": list(skewed.values)}, ["A"] * 30))[0].low


def test_draws_are_averaged_within_an_instance_first():
    rows = [score_row(instance("a"), "x", v, d) for d, v in enumerate([0.0, 1.0, 1.0])] + [score_row(instance("b"), "x", 0.0, 0)]
    (found,) = summarise(frame(rows))
    assert found.value == pytest.approx((2 / 3 + 0) / 2)
    assert found.count == 2
    assert found.sd_draws == pytest.approx(np.std([0.0, 1.0, 1.0], ddof=1))


def test_undefined_instances_are_counted_with_their_most_common_reason():
    rows = [score_row(instance("a"), "x", 4.0)]
    rows += [score_row(instance(n), "x", np.nan, reason=r) for n, r in (("b", "no word"), ("c", "no edge"), ("d", "no word"))]
    rows += [score_row(instance("e"), "x", np.nan, 0, "no word"), score_row(instance("e"), "x", 2.0, 1)]
    (found,) = summarise(frame(rows))
    assert (found.value, found.count, found.undefined, found.reason) == (3.0, 2, 3, "no word")
    (empty,) = summarise(frame(rows[1:4]))
    assert np.isnan([empty.value, empty.low, empty.high]).all() and (empty.count, empty.undefined) == (0, 3)


def test_variants_with_other_instances_have_their_own_intervals():
    rows = rows_of({"all": [0.0, 1.0, 2.0, 3.0]}, ["A"] * 4)
    less = rows_of({"less": [5.0, np.nan, 7.0, 9.0]}, ["A"] * 4).assign(reason="no word")
    both = summarise(pd.concat([rows, less], ignore_index=True))
    assert [a.variant for a in both] == ["all", "less"]
    assert both[0] == summarise(rows)[0]
    assert (both[1].value, both[1].count, both[1].undefined) == (7.0, 3, 1)


def test_one_instance_has_no_interval():
    (found,) = summarise(rows_of({"x": [2.0]}, ["A"]))
    assert found.value == 2.0 and np.isnan(found.low) and np.isnan(found.high)


def test_nothing_is_summarised_to_nothing():
    assert summarise(frame([])) == ()


def test_the_order_of_the_rows_moves_no_interval(skewed):
    rows = rows_of({"x": list(skewed.values), "y": list(skewed.values**2)}, skewed.conditions)
    shuffled = rows.sample(frac=1, random_state=0)
    ours = {a.variant: (a.low, a.high) for a in summarise(rows)}
    for other in summarise(shuffled):
        assert (other.low, other.high) == pytest.approx(ours[other.variant], rel=1e-12)


def test_shares_have_an_interval_where_all_instances_agree():
    (found,) = summarise(rows_of({"x": [1.0] * 64}, ["A"] * 64), bounds=(0, 1))
    assert found.high == 1 and 0.94 < found.low < 0.95
    (unbounded,) = summarise(rows_of({"x": [1.0] * 64}, ["A"] * 64))
    assert np.isnan([unbounded.low, unbounded.high]).all()
