"""Paired differences in words, and ranks: by hand, and what must hold for any table."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from flowgauge.leaderboards.comparison.paired_tests import (
    Difference,
    Ranks,
    differences,
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
    numbers = {"value": 0.1, "low": 0.0, "high": 0.2, "low_corrected": -0.1, "high_corrected": 0.3, "level": 0.05}
    return Difference(one, other, **{**numbers, "p": p, "p_holm": p, "instances": 9, "needed": np.nan, **fields})


def test_differences_are_of_the_instances_that_all_methods_have_and_the_larger_mean_comes_first() -> None:
    (d, *others) = differences(table([0, 0, 1, np.nan, 0], [1, 1, 1, 1, np.nan], [0.5, 0.5, 0.5, 0.5, 0.5]))
    assert (d.one, d.other, d.instances, d.pairs) == ("b", "a", 3, 3) and {other.instances for other in others} == {3}
    assert d.value == pytest.approx(2 / 3)
    assert d.p == 0.5, "two instances move: with all signs of one kind they do in two of four patterns"


def test_no_verdict_of_the_published_board_contradicts_another(published_boards) -> None:
    """Not separated: the interval reaches 0 and more instances are needed than there are. Separated: the ranks say the same."""
    pairs = tied = 0
    for comparison in (table.comparison for board in published_boards for table in board.tables.values()):
        places = dict(zip(comparison.ranks.methods, comparison.ranks.rank, strict=True))
        for d in comparison.pairs:
            first, second = (d.other, d.one) if comparison.scores.higher_is_better is False else (d.one, d.other)
            if d.separated:
                assert d.low_corrected >= 0 or d.high_corrected <= 0 or np.isnan(d.low_corrected), d
                assert places[first] < places[second], d
            else:
                assert not (d.low_corrected > 0 or d.high_corrected < 0) and d.needed > d.instances, d
            pairs, tied = pairs + 1, tied + (not d.separated)
    assert 1000 < tied < pairs - 1000


def test_fewer_than_two_instances_test_nothing() -> None:
    (d,) = differences(table([0, np.nan, 1], [np.nan, 1, 0]))
    assert (d.value, d.instances) == (1, 1) and np.isnan([d.p, d.p_holm, d.low, d.low_corrected, d.needed]).all()
    assert sentence(d, "accuracy", True) == "a and b cannot be separated on accuracy: +1 [one instance], p = nan, 1 instance"


def test_differences_of_instances_in_clusters_are_of_the_clusters_and_say_so() -> None:
    values = np.array([[1.0, 1.0, 0.5, 0.5, 0.0, 0.0], np.zeros(6)])
    clustered = ScoreTable(("a", "b"), values, ("x",) * 6, clusters=("p", "p", "q", "q", "r", "r"))
    (d,), (halved,) = differences(clustered), differences(table([1, 0.5, 0], [0, 0, 0]))
    assert (d.value, d.low, d.high, d.p) == pytest.approx((halved.value, halved.low, halved.high, halved.p))
    assert (d.instances, d.clusters, halved.clusters, d.needed) == (6, 3, None, 2 * halved.needed)
    text = sentence(d, "accuracy", True)
    assert "6 instances in 3 clusters; about" in text
    assert text.endswith(f"about {d.needed:.0f} instances in {halved.needed:.0f} clusters would separate them")
    one = replace(clustered, clusters=("p",) * 6)
    assert "+0.5 [one cluster], p = nan, 6 instances in one cluster" in sentence(differences(one)[0], "accuracy", True)


def test_conditions_that_speak_against_each_other_are_named() -> None:
    noise = np.tile([0.1, -0.1], 12)
    x, conditions = np.repeat([0.5, -0.4, 0.0], 8) + noise, ["up"] * 8 + ["down"] * 8 + ["level"] * 8
    (d,) = differences(table(np.zeros(24), x, conditions=conditions))
    assert [name for name, _ in d.against] == ["up", "down"] and [value for _, value in d.against] == pytest.approx([0.5, -0.4])
    assert "; the sign differs between conditions: up +0.5, down -0.4" in sentence(d, "accuracy", True)
    assert "; the sign differs between conditions: up -0.5, down +0.4" in sentence(d, "loss", False)
    (same,) = differences(table(np.zeros(24), np.abs(x), conditions=conditions))
    assert same.against == ()


def ranked(scores: ScoreTable) -> Ranks:
    return ranks(scores, differences(scores))


def test_ranks_of_clear_and_of_equal_methods() -> None:
    clear = table(np.ones(50), np.zeros(50), np.zeros(50))
    found = ranked(clear)
    assert found.rank.tolist() == [1, 2.5, 2.5]
    assert found.low.tolist() == [1, 2, 2] and found.high.tolist() == [1, 3, 3]
    assert found.beats[0, 1] == 1 and found.beats[1, 0] == 0 and found.beats[1, 2] == 0.5
    assert ranked(table(np.ones(50), np.zeros(50), higher=False)).rank.tolist() == [2, 1]


def test_the_share_of_resamples_won_is_that_of_resampled_means() -> None:
    scored = table(RNG.random(30) + 0.05, RNG.random(30))
    drawn = RNG.integers(0, 30, (20000, 30))
    won = (scored.values[0][drawn].mean(1) > scored.values[1][drawn].mean(1)).mean()
    found = ranked(scored).beats
    assert found[0, 1] == pytest.approx(won, abs=0.02)
    assert found[0, 1] + found[1, 0] == pytest.approx(1)


def test_instances_that_one_method_leaves_out_rank_nobody() -> None:
    scored = table([1, 1, 0, np.nan, np.nan], [1, 1, 0, 0, 0])
    assert ranked(scored).rank.tolist() == [1.5, 1.5]


def test_one_instance_ranks_without_an_interval() -> None:
    found = ranked(table([1.0], [0.0]))
    assert found.rank.tolist() == [1, 2] and np.isnan([found.low, found.high]).all()


def test_each_condition_is_drawn_as_often_as_it_is_there() -> None:
    scored = table([1, 1, 1, 0, 0], [0, 0, 0, 1, 1], conditions=list("xxxyy"))
    assert ranked(scored).beats[0, 1] == 1  # 3 of x and 2 of y in every resample


def test_sentences() -> None:
    d = pair("a", "b", 0.001, value=0.12, low_corrected=0.08, high_corrected=0.16)
    assert sentence(d, "accuracy", True) == "a is better than b on accuracy: +0.12 [0.08, 0.16], p = 0.001, 9 instances"
    assert sentence(d, "loss", False) == "b is better than a on loss: -0.12 [-0.16, -0.08], p = 0.001, 9 instances"
    of_three = sentence(d._replace(pairs=3), "share", None)
    assert of_three == "a has more share than b: +0.12 [0.08, 0.16], p = 0.001, 9 instances, corrected over 3 pairs"
    tied = pair("a", "b", needed=20.0)
    assert sentence(tied, "accuracy", True) == (
        "a and b cannot be separated on accuracy: +0.1 [-0.1, 0.3], p = 0.5, 9 instances; about 20 instances would separate them"
    )
    assert sentence(tied._replace(needed=np.inf, value=0.0), "accuracy", True).endswith("9 instances")
    more = "; more instances alone would not separate them, more seeds might"
    assert sentence(tied._replace(needed=np.inf), "accuracy", True).endswith(more)


def test_a_swapped_difference_is_the_same_seen_from_the_other_method() -> None:
    d = pair("a", "b", value=0.12, low=0.08, high=0.16, against=(("x", 0.5),))
    assert (d.swapped().one, d.swapped().other) == ("b", "a")
    assert (d.swapped().value, d.swapped().low, d.swapped().high) == (-0.12, -0.16, -0.08) and d.swapped().swapped() == d
    assert (d.swapped().low_corrected, d.swapped().high_corrected, d.swapped().against) == (-0.3, 0.1, (("x", -0.5),))
