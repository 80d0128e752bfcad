"""Paired differences, ranks and ties: against SciPy, by hand, and what must hold for any table."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import permutation_test, ttest_1samp

from flowgauge.leaderboards.comparison import paired_tests as paired
from flowgauge.leaderboards.comparison.paired_tests import (
    Difference,
    differences,
    holm,
    needed,
    overall,
    ranks,
    sentence,
)
from flowgauge.leaderboards.stored.score_table import ScoreTable

RNG = np.random.default_rng(5)


def table(*rows, conditions=None, higher=True) -> ScoreTable:
    values = np.array(rows, float)
    names = tuple("abcdefgh"[: len(values)])
    return ScoreTable(names, values, tuple(conditions or ["x"] * values.shape[1]), higher)


def pair(one: str, other: str, p: float = 0.5, **fields) -> Difference:
    return Difference(
        one, other, **{"value": 0.1, "low": 0.0, "high": 0.2, "p": p, "p_holm": p, "instances": 9, "needed": 20, **fields}
    )


def sign_flip(gap: np.ndarray, permutations: int = paired.PERMUTATIONS) -> float:
    return paired.sign_flips(np.stack([gap, np.zeros_like(gap)]), [(0, 1)], permutations=permutations)[0]


def test_the_permutation_test_is_scipys() -> None:
    gap = RNG.normal(0.5, 1, 40)
    ours = sign_flip(gap)
    theirs = permutation_test((gap, np.zeros(40)), lambda x, y, axis: (x - y).mean(axis), permutation_type="samples",
                              n_resamples=9999, vectorized=True, rng=np.random.default_rng(1)).pvalue  # fmt: skip
    assert ours == pytest.approx(theirs, abs=0.02)
    exact = permutation_test((gap[:8], np.zeros(8)), lambda x, y, axis: (x - y).mean(axis), permutation_type="samples",
                             n_resamples=np.inf, vectorized=True).pvalue  # fmt: skip
    assert sign_flip(gap[:8]) == pytest.approx(exact, abs=0.015)


def test_p_values_of_no_difference_are_uniform() -> None:
    found = [sign_flip(np.random.default_rng(n).normal(size=30), permutations=499) for n in range(300)]
    assert np.mean(np.array(found) <= 0.05) == pytest.approx(0.05, abs=0.03)
    assert np.mean(found) == pytest.approx(0.5, abs=0.05)


def test_holm_by_hand_and_undefined_tests_do_not_count() -> None:
    assert holm(np.array([0.01, np.nan, 0.02, 0.5])).tolist() == pytest.approx([0.03, np.nan, 0.04, 0.5], nan_ok=True)
    assert holm(np.array([0.9, 0.8])).tolist() == [1, 1]


def test_differences_are_of_shared_instances_and_the_larger_mean_comes_first() -> None:
    (d,) = differences(table([0, 0, 1, np.nan, 0], [1, 1, 1, 1, np.nan]))
    assert (d.one, d.other, d.instances) == ("b", "a", 3)
    assert d.value == pytest.approx(2 / 3)
    assert d.p == pytest.approx(0.5, abs=0.03)  # two moving instances: a half of the four sign flips is as extreme


def test_no_shared_instance_is_said() -> None:
    (d,) = differences(table([0, np.nan], [np.nan, 1]))
    assert d.instances == 0 and np.isnan(d.p_holm)
    assert "share no instance" in sentence(d, "accuracy", True)


def test_the_instances_needed_give_the_power_promised() -> None:
    gap = RNG.normal(0.4, 1.0, 4000)
    n = round(float(needed(gap[None])[0]))
    found = [ttest_1samp(RNG.choice(gap, n), 0).pvalue < 0.05 for _ in range(2000)]
    assert np.mean(found) == pytest.approx(0.8, abs=0.04)
    assert needed(np.zeros((1, 5))).tolist() == [np.inf]


def test_ranks_of_clear_and_of_equal_methods() -> None:
    clear = table(np.ones(50), np.zeros(50), np.zeros(50))
    found = ranks(clear)
    assert found.rank.tolist() == [1, 2.5, 2.5]
    assert found.low.tolist() == [1, 2.5, 2.5] == found.high.tolist()
    assert found.beats[0, 1] == 1 and found.beats[1, 0] == 0 and found.beats[1, 2] == 0.5
    assert ranks(table(np.ones(50), np.zeros(50), higher=False)).rank.tolist() == [2, 1]


def test_the_share_of_resamples_won_is_that_of_resampled_means() -> None:
    scored = table(RNG.random(30) + 0.05, RNG.random(30))
    drawn = RNG.integers(0, 30, (20000, 30))
    won = (scored.values[0][drawn].mean(1) > scored.values[1][drawn].mean(1)).mean()
    found = ranks(scored).beats
    assert found[0, 1] == pytest.approx(won, abs=0.02)
    assert found[0, 1] + found[1, 0] == pytest.approx(1)


def test_instances_that_one_method_leaves_out_rank_nobody() -> None:
    scored = table([1, 1, 0, np.nan, np.nan], [1, 1, 0, 0, 0])
    assert ranks(scored).rank.tolist() == [1.5, 1.5]


def test_each_condition_is_drawn_as_often_as_it_is_there() -> None:
    scored = table([1, 1, 1, 0, 0], [0, 0, 0, 1, 1], conditions=list("xxxyy"))
    assert ranks(scored).beats[0, 1] == 1  # 3 of x and 2 of y in every resample


def test_the_overall_rank_is_the_mean_over_tables_of_shared_methods() -> None:
    one = table(np.ones(20), np.zeros(20))
    other = table(np.zeros(20), np.ones(20), np.ones(20))
    found = overall([one, other])
    assert found.methods == ("a", "b") and found.rank.tolist() == [1.5, 1.5] == found.low.tolist()
    rng = np.random.default_rng(0)
    noisy = [table(*rng.random((2, 20))) for _ in range(2)]
    assert overall(noisy).low[0] < overall(noisy).high[0]


def test_metrics_of_one_task_are_resampled_together() -> None:
    one = table(*np.random.default_rng(1).random((2, 20)))
    alone, together, apart = overall([one]), overall([one, one], ["sva/obj"] * 2), overall([one, one], ["sva/obj", "sva/subj"])
    assert np.array_equal(together.beats, alone.beats), "the same scores twice tell no more than once"
    assert not np.array_equal(apart.beats, alone.beats)


def test_sentences() -> None:
    d = pair("a", "b", 0.001, value=0.12, low=0.08, high=0.16)
    assert sentence(d, "accuracy", True) == "a is better than b on accuracy: +0.12 [0.08, 0.16], p = 0.001, 9 instances"
    assert sentence(d, "loss", False) == "b is better than a on loss: -0.12 [-0.16, -0.08], p = 0.001, 9 instances"
    assert sentence(d, "share", None) == "a has more share than b: +0.12 [0.08, 0.16], p = 0.001, 9 instances"
    assert sentence(pair("a", "b", needed=19.2), "accuracy", True).endswith("9 instances; about 20 instances would separate them")


def test_a_swapped_difference_is_the_same_seen_from_the_other_method() -> None:
    d = pair("a", "b", value=0.12, low=0.08, high=0.16)
    assert (d.swapped().one, d.swapped().other) == ("b", "a")
    assert (d.swapped().value, d.swapped().low, d.swapped().high) == (-0.12, -0.16, -0.08) and d.swapped().swapped() == d
