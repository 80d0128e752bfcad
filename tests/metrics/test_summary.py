"""Aggregates of score rows, by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tests.metrics.conftest import drawn_from, instance, rows_of

from flowgauge.metrics.patterns.pattern_cases import ratio_of_sums
from flowgauge.metrics.scores import Aggregate, frame, score_row
from flowgauge.metrics.statistics.intervals import mean_intervals, t_intervals
from flowgauge.metrics.statistics.units import Units, moments
from flowgauge.metrics.summary import OUTSIDE, RATIO_NEEDS, summarise, summarise_sums


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


def ratio(
    numerator: np.ndarray, whole: np.ndarray, conditions: np.ndarray, clusters: list[str] | tuple[()] = (), **settings: object
) -> Aggregate:
    features, instances = np.stack([numerator, whole], 1).astype(float), drawn_from(conditions, clusters)
    return summarise_sums(("x",), features, instances, ratio_of_sums, needs=RATIO_NEEDS, weights=features[:, 1], **settings)[0]


@pytest.mark.parametrize("count", [16, 64])
@pytest.mark.parametrize("conditions", [1, 8])
def test_the_interval_of_a_ratio_covers(count, conditions):
    """Shares of edges that vary from instance to instance, and more in some conditions."""
    rng, hits, condition = np.random.default_rng(0), 0, np.arange(count) % conditions
    rate = 0.15 + 0.05 * condition
    truth = rate.mean()
    for _ in range(400):
        whole = rng.poisson(12, count) + 1
        one = ratio(rng.binomial(whole, rng.beta(4 * rate, 4 * (1 - rate))), whole, condition.astype(str))
        hits += one.low <= truth <= one.high
    assert 0.92 <= hits / 400 <= 0.98


def test_skewed_weights_are_worth_fewer_instances():
    rng = np.random.default_rng(0)
    whole = rng.lognormal(0, 1.2, 64)
    few = ratio(whole * rng.random(64), whole, np.full(64, ""))
    assert np.isnan(few.low) and few.value == few.value
    assert few.reason.startswith("an interval needs 12 instances, and the 64 are worth ")
    even = ratio(rng.random(12), np.ones(12), np.full(12, ""), undefined=1, reason="no word.")
    assert even.low < even.value < even.high and even.reason == "no word."


def test_the_interval_of_a_ratio_lies_within_its_bounds():
    whole = np.full(20, 2.0)
    free = ratio(np.r_[0, 0, np.full(18, 2.0)], whole, np.full(20, ""))
    held = ratio(np.r_[0, 0, np.full(18, 2.0)], whole, np.full(20, ""), bounds=(0.0, 0.95))
    assert held.high == min(free.high, 0.95) and held.low == free.low
    outside = ratio(np.r_[0, 0, np.full(18, 2.0)], whole, np.full(20, ""), bounds=(0.0, free.low / 2))
    assert np.isnan([outside.low, outside.high]).all() and outside.reason == OUTSIDE


CLUSTERS = [f"passage {n // 4}" if n % 5 else "" for n in range(40)]
ORDER = np.random.default_rng(1).permutation(40)


def test_the_interval_of_instances_in_clusters_is_that_of_the_clusters_sums() -> None:
    values = np.random.default_rng(0).normal(size=10).repeat(4) + np.random.default_rng(2).normal(size=40)
    (found,) = summarise(rows_of({"x": list(values)}, ["A"] * 40, CLUSTERS))
    named = pd.Series([name or f"alone {n}" for n, name in enumerate(CLUSTERS)])
    sums, sizes = (pd.Series(x).groupby(named).sum().to_numpy() for x in (values, np.ones(40)))
    known = moments(Units(sums[None], sizes, np.zeros(18, int)))
    rest = sums - sizes * values.mean()  # the variance by hand
    assert known.variance.item() == pytest.approx(18 / 17 * (rest**2).sum() / 40**2)
    low, high = t_intervals(known)
    assert (found.value, found.low, found.high) == pytest.approx((values.mean(), low.item(), high.item()))
    assert (found.count, found.clusters) == (40, 18)
    (alone,) = summarise(rows_of({"x": list(values)}, ["A"] * 40))
    assert alone.clusters is None and alone.high - alone.low < 0.8 * (found.high - found.low)
    shuffled = rows_of({"x": list(values)}, ["A"] * 40, CLUSTERS).iloc[ORDER]
    (other,) = summarise(shuffled)
    assert (other.value, other.low, other.high) == pytest.approx((found.value, found.low, found.high), rel=1e-12)


def test_statistics_of_sums_leave_out_whole_clusters() -> None:
    rng = np.random.default_rng(0)
    whole, part = rng.poisson(12, 40) + 1.0, rng.random(40)
    twos = [f"passage {n // 2}" for n in range(40)]
    found = ratio(whole * part, whole, np.full(40, "A"), twos)
    named = pd.Series(twos)
    sums = pd.DataFrame({"part": whole * part, "whole": whole}).groupby(named).sum()
    of_sums = ratio(sums["part"].to_numpy(), sums["whole"].to_numpy(), np.full(len(sums), "A"))
    assert (found.value, found.low, found.high) == pytest.approx((of_sums.value, of_sums.low, of_sums.high), rel=1e-12)
    assert (found.count, found.clusters, of_sums.count, of_sums.clusters) == (40, 20, 20, None)
    few = ratio(whole * part, whole, np.full(40, "A"), [f"passage {n // 10}" for n in range(40)])
    assert np.isnan(few.low) and few.reason.startswith("an interval needs 12 clusters, and the 4 are worth")


def test_one_cluster_has_no_interval() -> None:
    (found,) = summarise(rows_of({"x": [1.0, 2.0, 3.0]}, ["A"] * 3, ["p"] * 3))
    assert found.value == 2.0 and np.isnan([found.low, found.high]).all() and found.clusters == 1
