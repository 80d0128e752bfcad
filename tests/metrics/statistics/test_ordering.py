"""Ranks that rounding does not move, their bounds, and what an overall order says."""

from __future__ import annotations

import numpy as np
import pytest

from flowgauge.metrics.statistics.differences import paired_differences
from flowgauge.metrics.statistics.ordering import (
    RankedSample,
    overall_order,
    random_halves,
    rank_bounds,
    ranks_of,
    resampled_means,
)
from flowgauge.metrics.statistics.units import Units, moments, sampling_units

RNG = np.random.default_rng(0)


def units(values: np.ndarray, strata: int = 1) -> Units:
    return Units(values, np.ones(values.shape[1]), np.arange(values.shape[1]) % strata)


def test_rounding_and_the_order_of_the_instances_move_no_rank() -> None:
    """Sixteenths over 2^13 instances lie where decimal rounding would part equal means."""
    values = RNG.integers(0, 17, (1, 96)) / 16
    values = np.concatenate([values, values, np.roll(values, 5, axis=1), 1 - values / 2])
    expected = ranks_of(values.mean(1), True).tolist()
    assert expected[0] == expected[1] == expected[2]
    for _ in range(20):
        moved = values[:, RNG.permutation(96)].mean(1) + RNG.normal(size=4) * 1e-16
        assert ranks_of(moved, True).tolist() == expected
        assert ranks_of(1e-9 * moved, True).tolist() == expected
    assert ranks_of(np.array([1 / 2**13, 1 / 2**13 + 1e-19, 2.0]), False).tolist() == [1.5, 1.5, 3]
    assert ranks_of(np.array([[1.0, 2.0], [2.0, 1.0]]), None).tolist() == [[2, 1], [1, 2]]


def test_resampled_means_have_the_variance_of_the_moments() -> None:
    """Also in conditions of two and three instances, where plain resampling is too narrow."""
    sample = Units(RNG.normal(size=(3, 10)), np.ones(10), np.array([0] * 2 + [1] * 3 + [2] * 5))
    drawn, known = resampled_means(sample, resamples=20_000), moments(sample)
    assert drawn.mean(0) == pytest.approx(known.mean, abs=0.01)
    assert drawn.var(0) == pytest.approx(known.variance, rel=0.05)
    assert np.array_equal(resampled_means(sample), resampled_means(sample)) and len(drawn) == 20_000


@pytest.mark.parametrize("sizes", [(300, 50), (583, 100, 3, 4)])
def test_few_clusters_of_very_different_sizes_are_resampled_with_the_variance_of_the_moments(sizes: tuple[int, ...]) -> None:
    """The ratio of resampled sums has 5 and 60 times the standard error."""
    of_cluster = np.array(sizes, float)
    sums = 0.5 * of_cluster + np.array([[3.0, -2, 1, 0], [1, 4, -1, 2]])[:, : len(sizes)]
    sample = Units(np.concatenate([sums, 0.4 * of_cluster[None]]), of_cluster, np.zeros(len(sizes), int))
    drawn, known = resampled_means(sample, resamples=20_000), moments(sample)
    assert drawn.mean(0) == pytest.approx(known.mean, abs=1e-3)
    assert drawn.var(0) == pytest.approx(known.variance, rel=0.05, abs=1e-20)


def test_rank_bounds_hold_all_true_ranks_at_once() -> None:
    """Of 12 methods, six pairs of which are equal: in 95 % of the samples or more every true rank lies in its bounds."""
    truth, rng, held = np.repeat(np.arange(6), 2) * 0.5, np.random.default_rng(1), 0
    for _ in range(100):
        sample = units(rng.normal(size=(12, 64)) + truth[:, None] + rng.normal(size=64))
        tested = paired_differences(sample)
        separated = np.zeros((12, 12), bool)
        separated[tested.first[tested.separated], tested.second[tested.separated]] = True
        low, high = rank_bounds(ranks_of(sample.sums.mean(1), True), separated | separated.T)
        best = 1 + (truth > truth[:, None]).sum(1)
        held += bool(((low <= best) & (best + 1 <= high)).all())
    assert held >= 95


def test_the_overall_rank_is_the_mean_over_tables() -> None:
    one, other = np.tile([[1.0], [0.0]], 20), np.tile([[0.0], [1.0]], 20)
    order = overall_order([RankedSample(units(one), "a"), RankedSample(units(other), "b")])
    assert order.rank.tolist() == [1.5, 1.5] and order.best_task.tolist() == [1, 1] and order.worst_task.tolist() == [2, 2]
    assert order.first.tolist() == [0.5, 0.5] and not order.separated.any()
    assert order.task_low[0] == pytest.approx(1.5 - 12.706 * 0.5, abs=1e-3)


def test_a_clear_order_says_so_everywhere() -> None:
    values = np.array([0.9, 0.5, 0.1])[:, None] + 0.05 * RNG.normal(size=(3, 40))
    order = overall_order([RankedSample(units(values, 4), "a"), RankedSample(units(-values, 4), "b", higher_is_better=False)])
    assert np.isnan([order.low, order.high, order.task_low, order.task_high]).all()  # never [1, 1] from a sample
    assert order.rank.tolist() == [1, 2, 3] and (order.halves == [[1, 2, 3]] * 2).all()
    assert order.separated.tolist() == (~np.eye(3, dtype=bool)).tolist() and order.first.tolist() == [1, 0, 0]
    assert order.behind == pytest.approx([0, 0.4, 0.8], abs=0.05)
    assert (order.behind_low[1:] > 0.3).all() and (order.behind_high[1:] < 0.9).all() and np.isnan(order.behind_low[0])


def test_tables_of_one_task_are_drawn_together_and_one_task_has_no_interval_over_tasks() -> None:
    values = RNG.random((3, 20))
    alone = overall_order([RankedSample(units(values), "a")])
    twice = overall_order([RankedSample(units(values), "a"), RankedSample(units(values), "a")])
    apart = overall_order([RankedSample(units(values), "a"), RankedSample(units(RNG.random((3, 20))), "b")])
    assert twice.first.tolist() == alone.first.tolist() != apart.first.tolist()
    assert np.isnan([alone.task_low, twice.task_high]).all() and not np.isnan(apart.task_low).all()


def test_equal_methods_are_not_separated_over_tables() -> None:
    """In 5 % of the boards or fewer; 300 boards of 15 methods had a false pair in 1.7 %."""
    rng, false = np.random.default_rng(2), 0
    for _ in range(20):
        tasks = [rng.normal(size=(8, 40)) + rng.normal(size=40) for _ in range(3)]
        tables = [
            RankedSample(units(x + 0.7 * rng.normal(size=x.shape), 4), str(t)) for t, x in enumerate(tasks) for _ in range(2)
        ]
        false += bool(overall_order(tables, resamples=10).separated.any())
    assert false <= 3


def test_a_table_of_one_cluster_counts_for_ranks_and_separates_nobody() -> None:
    scores, one = np.outer([0.0, 1.0, 5.0], np.ones(20)) + np.random.default_rng(3).normal(size=(3, 20)) / 4, np.full(20, "p")
    many = RankedSample(sampling_units(scores, np.full(20, "x")), "many")
    single = RankedSample(sampling_units(scores[::-1], np.full(20, "x"), one), "single")
    both = overall_order([many, single])
    assert both.rank.tolist() == [2, 2, 2] and overall_order([single]).rank.tolist() == [1, 2, 3]
    assert not overall_order([single]).separated.any()
    assert overall_order([many]).separated.sum() == 6


def test_the_order_does_not_depend_on_the_level_of_scores_in_clusters_of_different_sizes() -> None:
    rng, names = np.random.default_rng(3), np.array([f"p{int((2 * n) ** 0.5)}" for n in range(120)])
    scores, others = (rng.normal(size=(3, 120)) + np.arange(3)[:, None] for _ in range(2))
    other = RankedSample(sampling_units(others, np.full(120, "x")), "other")
    tables = [RankedSample(sampling_units(scores + level, np.full(120, "x"), names), "task") for level in (0.0, 100.0)]
    low, high = (overall_order([table, other]) for table in tables)
    assert low.separated.any() and low.separated.tolist() == high.separated.tolist()
    assert low.behind == pytest.approx(high.behind)


def test_one_unit_gives_an_order_and_nothing_else() -> None:
    order = overall_order([RankedSample(units(np.array([[0.9], [0.1]])), "a")])
    assert order.rank.tolist() == [1, 2] and not order.separated.any()
    assert np.isnan([order.low, order.high, order.first, order.behind_low, *order.halves]).all()


def test_tables_of_a_task_are_matched_by_the_names_of_their_units() -> None:
    """In another order, and with other units missing, the tables give the order that they give side by side."""
    rng, names = np.random.default_rng(5), tuple(f"i{n}" for n in range(40))
    one, other = (rng.normal(size=(3, 40)) + 0.5 * np.arange(3)[::-1, None] + rng.normal(size=40) for _ in range(2))
    moved = rng.permutation(40)
    aligned = overall_order([RankedSample(units(one), "a", names=names), RankedSample(units(other), "a", names=names)])
    shuffled = RankedSample(units(other[:, moved]), "a", names=tuple(names[n] for n in moved))
    matched = overall_order([RankedSample(units(one), "a", names=names), shuffled])
    assert matched.first == pytest.approx(aligned.first) and matched.high == pytest.approx(aligned.high, nan_ok=True)
    assert (matched.separated == aligned.separated).all() and aligned.separated.any()
    fewer = RankedSample(units(other[:, :30]), "a", names=names[:30])
    assert overall_order([fewer, RankedSample(units(one), "a", names=names)]).separated[0, 2]


def test_scores_that_differ_on_one_table_only_do_not_separate_mean_ranks() -> None:
    """The first is far ahead on one table of five, and equal on the others, where noise decides the ranks."""
    rng = np.random.default_rng(0)
    tables = []
    for task in range(5):
        values = rng.normal(size=(2, 64))
        values[0] += 5 if task == 0 else -0.02
        tables.append(RankedSample(units(values), str(task)))
    order = overall_order(tables)
    assert not order.separated.any() and order.low[0] < 1.5 < order.high[0]


def test_a_task_of_large_clusters_weighs_as_others_do() -> None:
    """One task of single instances, where the first method leads, and two of clusters of ten, where the other leads by more."""
    rng, names = np.random.default_rng(5), np.array([f"p{n // 10}" for n in range(400)])
    shared = np.repeat(rng.normal(size=(2, 40)), 10, axis=1)
    alone = RankedSample(sampling_units(rng.normal(size=(2, 400)) + np.array([[0.5], [0.0]]), np.full(400, "x")), "alone")
    scores = 0.3 * shared + 0.1 * rng.normal(size=(2, 400)) + np.array([[0.0], [0.3]])
    tables = [RankedSample(sampling_units(scores, np.full(400, "x"), names), task) for task in ("one", "two")]
    assert overall_order([alone, *tables]).rank.tolist() == pytest.approx([5 / 3, 4 / 3])
    assert overall_order([alone, *tables]).separated[0, 1]


def test_a_single_method_is_first() -> None:
    order = overall_order([RankedSample(units(RNG.normal(size=(1, 20))), "a")])
    assert order.rank.tolist() == [1] and order.first.tolist() == [1] and order.separated.tolist() == [[False]]


def test_random_halves_are_halves_of_every_stratum() -> None:
    strata = np.array([0, 0, 0, 0, 1, 1, 1, 2, 2])
    first = random_halves(strata, np.random.default_rng(0), 400)
    assert set(first[:, :4].sum(1)) == {2} and set(first[:, 4:7].sum(1)) == {1, 2} and set(first[:, 7:].sum(1)) == {1}
    assert first.mean(0) == pytest.approx(np.full(9, 0.5), abs=0.1)


def test_a_clear_order_repeats_on_other_instances_and_chance_does_not() -> None:
    rng = np.random.default_rng(0)
    clear = np.arange(6.0)[:, None] + 0.1 * rng.normal(size=(6, 40))
    both = [RankedSample(units(clear, 4), "a"), RankedSample(units(-clear, 4), "b", False)]
    assert overall_order(both).repetition == pytest.approx((1, 1, 1))
    taus = [
        overall_order([RankedSample(units(rng.normal(size=(6, 40)), 4), "a")], resamples=10).repetition.tau for _ in range(40)
    ]
    assert abs(np.mean(taus)) < 0.15  # noise shared by the halves of one sample is negative: what one half has, the other lacks
    assert np.isnan(overall_order([RankedSample(units(np.ones((3, 8))), "a")]).repetition).all()
    assert np.isnan(overall_order([RankedSample(units(np.array([[0.9], [0.1]])), "a")]).repetition).all()


def test_tables_of_one_task_are_split_alike() -> None:
    """Two tables with the same scores say no more than one of them."""
    values = np.random.default_rng(1).normal(size=(5, 30)) + np.arange(5)[:, None] / 3
    once = overall_order([RankedSample(units(values), "a")]).repetition
    assert overall_order([RankedSample(units(values), "a"), RankedSample(units(values), "a")]).repetition == once
    assert once.low < once.tau < once.high
