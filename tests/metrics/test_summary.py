"""Aggregates and their intervals, against scipy and by hand."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from flowgauge.core.errors import UsageError
from flowgauge.metrics.bootstrap import RESAMPLES, bca_levels, condition_groups, interval, mean_of_sums, resampled_sums
from flowgauge.metrics.nodes.breakdown import by_condition, by_item
from flowgauge.metrics.patterns.pattern_cases import ratio_of_sums
from flowgauge.metrics.scores import COLUMNS, Aggregate, Scores, frame, score_row
from flowgauge.metrics.summary import summarise
from flowgauge.tasks.instance import Instance


def instance(name: str, condition: str = "", verb: str = "like") -> Instance:
    return Instance(name, ("a",), ("b",), condition=condition, truth={"VERB": verb})


def rows_of(values: dict[str, list[float]], conditions: list[str]) -> pd.DataFrame:
    return frame([score_row(instance(f"i{n}", conditions[n]), v, x) for v, xs in values.items() for n, x in enumerate(xs)])


@pytest.fixture(scope="module")
def skewed() -> SimpleNamespace:
    """30 skewed numbers in two conditions."""
    rng = np.random.default_rng(3)
    return SimpleNamespace(values=rng.exponential(2.0, 30), conditions=["A"] * 10 + ["B"] * 20)


def test_the_interval_is_scipys_bca_interval_for_the_same_replicates(skewed):
    features = np.stack([skewed.values, np.ones(30)], 1)
    groups = condition_groups(np.array(skewed.conditions))
    replicates = mean_of_sums(resampled_sums(features, groups, np.random.default_rng(0)))[:, 0]
    groups_apart = (skewed.values[:10], skewed.values[10:])
    mean = lambda a, b, axis=-1: (a.sum(axis) + b.sum(axis)) / (a.shape[axis] + b.shape[axis])  # noqa: E731
    same = SimpleNamespace(bootstrap_distribution=replicates)
    theirs = stats.bootstrap(
        groups_apart, mean, n_resamples=0, bootstrap_result=same, method="BCa", vectorized=True
    ).confidence_interval
    ours = interval(features, groups, mean_of_sums)
    assert (ours.low[0], ours.high[0]) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert theirs.high - theirs.low > 0.5


def test_the_interval_agrees_with_scipys_own_resampling(skewed):
    ours = summarise(rows_of({"x": list(skewed.values)}, ["A"] * 30))[0]
    theirs = stats.bootstrap((skewed.values,), np.mean, n_resamples=20000, rng=np.random.default_rng(1)).confidence_interval
    width = theirs.high - theirs.low
    assert ours.value == pytest.approx(skewed.values.mean(), abs=1e-12)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.06 * width)


def test_the_ratio_of_sums_has_scipys_bca_interval(skewed):
    features = np.stack([skewed.values, 1 + np.arange(30.0)], 1)
    groups = np.zeros(30, int)
    replicates = ratio_of_sums(resampled_sums(features, groups, np.random.default_rng(0)))[:, 0]
    ratio = lambda a, b, axis=-1: a.sum(axis) / b.sum(axis)  # noqa: E731
    same = SimpleNamespace(bootstrap_distribution=replicates)
    theirs = stats.bootstrap(
        (features[:, 0], features[:, 1]), ratio, n_resamples=0, bootstrap_result=same, paired=True, vectorized=False
    ).confidence_interval
    ours = interval(features, groups, ratio_of_sums)
    assert (ours.low[0], ours.high[0]) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


def test_resamples_keep_the_size_of_every_group():
    groups = np.array([0, 0, 0, 1, 1, 2])
    indicator = np.eye(3)[groups]
    sums = resampled_sums(indicator, groups, np.random.default_rng(0), 50)
    assert (sums == [3, 2, 1]).all()
    drawn = resampled_sums(np.eye(6), groups, np.random.default_rng(0), 4000)
    assert drawn.mean(0) == pytest.approx(np.ones(6), abs=0.06)
    assert drawn[:, 0].var() == pytest.approx(3 * (1 / 3) * (2 / 3), abs=0.05)


def test_resampling_in_pieces_is_complete(monkeypatch):
    monkeypatch.setattr("flowgauge.metrics.bootstrap.CHUNK", 8)
    sums = resampled_sums(np.ones((5, 1)), np.zeros(5, int), np.random.default_rng(0), 7)
    assert sums[:, 0].tolist() == [5.0] * 7


def test_constant_data_have_a_degenerate_interval():
    found = summarise(rows_of({"x": [0.1] * 7, "y": [1.0] * 7}, ["A", "B"] * 3 + ["A"]))
    assert [(a.value, a.low, a.high) for a in found] == [(pytest.approx(0.1),) * 3, (1.0, 1.0, 1.0)]
    assert found[0].low == found[0].high == found[0].value


def test_bca_falls_back_to_percentiles_where_it_is_undefined():
    replicates = np.array([[1.0], [2.0], [3.0]])
    levels = bca_levels(np.array([9.0]), replicates, np.array([[1.0], [2.0]]), np.zeros(2, int))
    assert levels[:, 0].tolist() == [0.025, 0.975]


def test_conditions_are_resampled_apart():
    values = {"x": [0.0] * 10 + [1.0] * 10}
    apart = summarise(rows_of(values, ["A"] * 10 + ["B"] * 10))[0]
    together = summarise(rows_of(values, ["A"] * 20))[0]
    assert (apart.low, apart.high) == (0.5, 0.5)
    assert together.low == pytest.approx(0.3, abs=0.06) and together.high == pytest.approx(0.7, abs=0.06)


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


def test_a_seed_repeats_and_another_differs(skewed):
    rows = rows_of({"x": list(skewed.values)}, skewed.conditions)
    assert summarise(rows) == summarise(rows)
    assert summarise(rows, seed=1)[0].low != summarise(rows)[0].low
    assert RESAMPLES == 4000


def test_lone_conditions_are_put_together():
    assert condition_groups(np.array(["a", "b", "c"])).tolist() == [0, 0, 0]
    assert condition_groups(np.array(["a", "a", "b", "c", "c", "d"])).tolist() == [1, 1, 0, 2, 2, 0]


def test_a_single_lone_condition_joins_the_smallest_other():
    assert condition_groups(np.array(["a", "b", "b", "b", "c", "c"])).tolist() == [1, 0, 0, 0, 1, 1]
    assert condition_groups(np.array(["a"])).tolist() == [0]


def test_scores_need_the_columns_and_a_reason_for_nan():
    with pytest.raises(ValueError, match="need the columns"):
        Scores(frame([]).drop(columns="draw"))
    with pytest.raises(ValueError, match="1 scores are NaN without a reason, first for 'a'"):
        Scores(frame([score_row(instance("a"), "x", np.nan)]))
    assert list(Scores(frame([])).rows.columns) == list(COLUMNS)
    assert Aggregate("x", 1, 0, 2, 3).undefined == 0


def test_scores_by_condition_and_by_item():
    verbs = ["hate", "love", "hate", "love"]
    instances = [instance(f"i{n}", "AABB"[n], verbs[n]) for n in range(4)]
    rows = frame([score_row(i, "x", float(n)) for n, i in enumerate(instances)])
    conditions = by_condition(rows)
    assert conditions[["variant", "condition", "value", "count"]].to_numpy().tolist() == [["x", "A", 0.5, 2], ["x", "B", 2.5, 2]]
    items = by_item(rows, instances, "VERB")
    assert items[["variant", "item", "value", "count"]].to_numpy().tolist() == [["x", "hate", 1.0, 2], ["x", "love", 2.0, 2]]
    with pytest.raises(UsageError, match="'i0' has no item for 'NOUN'; it has VERB"):
        by_item(rows, instances, "NOUN")
    with pytest.raises(UsageError, match="1 scored instances are not among those given, first 'i3'"):
        by_item(rows, instances[:3], "VERB")
