"""Random rank: the draws, the choices that are valid, and the rank against influences computed apart."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy import stats

from flowgauge.core.errors import NotApplicable
from flowgauge.methods.explanation import Explanation
from flowgauge.metrics.patterns.random_rank import RandomRank, draw_words, influences, random_heads, random_paths, rank
from flowgauge.models.flow.graph import ALL_HEADS, SKIP
from flowgauge.models.flow.pattern_influence import pattern_influence
from flowgauge.models.flow.trace import path_trace

T = 2


def reasons(scores) -> dict[str, str]:
    return dict(zip(scores.rows["variant"], scores.rows["reason"], strict=True))


def test_every_instance_gives_a_word_before_any_gives_a_second():
    chosen = draw_words([[3, 3], [1, 0]], [[1, 2], [3, 4]], 5, 0)
    assert {batch: {row: len(words) for row, words in rows.items()} for batch, rows in chosen.items()} == {
        0: {0: 2, 1: 2},
        1: {0: 1},
    }
    assert all(len(set(words)) == len(words) for rows in chosen.values() for words in rows.values())
    few = draw_words([[5] * 10], [range(10)], 4, 0)[0]
    assert len(few) == 4 and all(len(words) == 1 for words in few.values())
    assert len({tuple(sorted(draw_words([[5] * 10], [range(10)], 4, seed)[0])) for seed in range(5)}) > 1
    assert sum(len(words) for words in draw_words([[2, 1]], [[1, 2]], 99, 0)[0].values()) == 3


def test_the_choice_does_not_depend_on_batches():
    whole = draw_words([[5] * 6], [range(6)], 4, 0)[0]
    apart = draw_words([[5] * 3, [5] * 3], [[5, 4, 3], [2, 1, 0]], 4, 0)
    assert {5 - row - 3 * batch: words for batch, rows in apart.items() for row, words in rows.items()} == whole


def test_random_paths_keep_their_ends_and_are_uniform_between():
    paths = random_paths(np.array([1, 3, 4, 2]), 4000, 5, np.random.default_rng(0))
    assert paths[0].tolist() == [1, 3, 4, 2]
    assert (paths[:, 0] == 1).all() and (paths[:, -1] == 2).all()
    for depth in (1, 2):
        assert np.bincount(paths[1:, depth], minlength=5) / 4000 == pytest.approx(np.full(5, 0.2), abs=0.03)


def test_random_heads_are_valid_choices_only():
    paths = random_paths(np.array([1, 1, 4, 2]), 4000, 3, np.random.default_rng(0))
    heads = random_heads(paths, np.array([SKIP, 0, 1]), 4, np.random.default_rng(1))
    same = paths[:, 1:] == paths[:, :-1]
    assert heads[0].tolist() == [SKIP, 0, 1]
    assert (heads[~same] >= 0).all() and heads.min() == SKIP and heads.max() == 3
    assert (heads[same] == SKIP).mean() == pytest.approx(1 / 5, abs=0.03)
    assert np.bincount(heads[1:][~same[1:]], minlength=4) / (~same[1:]).sum() == pytest.approx(np.full(4, 0.25), abs=0.03)


def test_words_share_the_numbers_that_their_patterns_are_drawn_with():
    """Also where heads are valid at one word's edge only, so that one word has more choices there than another."""
    one, two = (random_paths(np.array([j, 1, 4, 2]), 50, 5, np.random.default_rng(0)) for j in (1, 3))
    assert (one[1:, 1:] == two[1:, 1:]).all()
    first, second = (random_heads(paths, np.array([0, 0, 1]), 4, np.random.default_rng(1)) for paths in (one, two))
    assert (first[:, 1:] == second[:, 1:]).all()
    both = (one[:, 1:] == one[:, :-1])[:, 0] == (two[:, 1:] == two[:, :-1])[:, 0]
    assert (first[both] == second[both]).all() and (first[~both] != second[~both]).any()
    causal = np.repeat(np.tril(np.ones((5, 5), bool))[None], 3, 0)
    early, late = (random_paths(np.array([j, 4, 4, 4]), 500, 5, np.random.default_rng(0), causal) for j in (0, 3))
    assert (early <= late).all() and 0 < (early[1:, 1:] == late[1:, 1:]).all(1).mean() < 1


def test_rank_by_hand():
    random = np.array([1.0, 2.0, 2.0, 5.0])
    found = rank(2.0, random)
    assert found["beaten"] == 1.0 and found["p"] == 4 / 5
    assert found["normal_p"] == pytest.approx(stats.norm.sf((2.0 - 2.5) / random.std(ddof=1)))
    assert rank(9.0, random)["p"] == 1 / 5
    assert np.isnan(rank(1.0, np.ones(3))["normal_p"])


def test_influences_are_those_of_each_path(make, model):
    trace = path_trace(model, make.batch(model, [5]), samples=3)
    paths = random_paths(np.array([1, 1, 4, 2]), 20, 5, np.random.default_rng(0))
    paths = np.concatenate([paths, paths[:3]])
    heads = random_heads(paths, np.array([0, 0, 1]), 4, np.random.default_rng(1))
    found = influences(trace, np.stack([paths, paths[::-1]]))
    assert found.shape == (2, 24) and (found[0] == found[1, ::-1]).all() and (found[0, :3] == found[0, -3:]).all()
    for walk in (None, heads):
        chosen = [None if walk is None else torch.from_numpy(walk[m : m + 1]) for m in range(len(paths))]
        alone = [float(pattern_influence(trace, 0, torch.from_numpy(p[None]), w)) for p, w in zip(paths, chosen, strict=True)]
        units = None if walk is None else walk[None]
        assert influences(trace, paths[None], units)[0] == pytest.approx(np.array(alone), abs=1e-12)


@pytest.fixture
def found(make, model):
    return make.by_method(model, make.batch(model, [5, 4]), "influence-patterns:samples=3,beam=25")


def test_the_best_pattern_beats_all_random_ones_and_the_worst_none(make, model, found, value_of):
    metric = RandomRank(patterns=60, words=99, samples=3)
    scores = metric.score(model, [found], None)
    every = scores.rows[scores.rows["variant"] == "embedding/p"]
    assert len(every) == sum(len(e.patterns) for e in found.gold)
    beaten = scores.rows[scores.rows["variant"] == "embedding/beaten"]["value"]
    assert (beaten > 40).all()  # not 60: random draws meet the best pattern itself now and then
    assert every["value"].to_numpy() == pytest.approx((61 - beaten.to_numpy()) / 61)
    worst = []
    for row, explanation in enumerate(found.gold):
        trace = path_trace(model, found.batch.rows(torch.tensor([row])), samples=3)
        n = found.batch.lengths[row]
        totals, positions = [], []
        for source, total in zip(explanation.patterns.source, explanation.patterns.total, strict=True):
            walks = torch.tensor([[source, a, b, T] for a in range(n) for b in range(n)])
            influence = pattern_influence(trace, 0, walks) * (1 if total >= 0 else -1)
            positions.append(walks[int(influence.argmin())].tolist())
            totals.append(float(total))
        worst.append(make.explained(n, make.paths(totals, positions)))
    scores = metric.score(model, [make.by_hand(model, found.batch, worst)], None)
    assert value_of(scores, "embedding/beaten") == 0.0 and value_of(scores, "embedding/p") == 1.0
    assert value_of(scores, "embedding/normal_p") > 0.7
    assert reasons(scores)["attention/p"] == "the patterns have no attention level."


def test_a_word_has_the_same_rank_alone_and_beside_others(model, found):
    """What is drawn for a word depends on neither the number of words nor on which others are ranked."""
    few, all_words = (RandomRank(patterns=20, words=words, samples=2).score(model, [found], None).rows for words in (2, 99))
    key = ["instance", "variant", "draw"]
    both = few.merge(all_words, on=key, suffixes=("", "_all"))
    assert len(both) == len(few) < len(all_words)
    assert both["value"].to_numpy() == pytest.approx(both["value_all"].to_numpy(), nan_ok=True, abs=1e-9)


def test_aggregates_average_words_and_repeat(model, found):
    metric = RandomRank(patterns=20, words=3, samples=2)
    scores = metric.score(model, [found], None)
    assert [a.variant for a in scores.aggregates] == [
        f"{level}/{name}" for level in ("embedding", "attention", "heads") for name in ("beaten", "p", "normal_p")
    ]
    assert all(a.sd_draws is None and a.count == 2 for a in scores.aggregates)
    assert scores.rows[scores.rows["variant"] == "heads/p"]["draw"].tolist() in ([0, 1, 0], [0, 0, 1])
    assert scores.rows.equals(metric.score(model, [found], None).rows)
    assert not scores.rows.equals(RandomRank(patterns=20, words=3, samples=2, seed=1).score(model, [found], None).rows)


def test_what_has_no_rank_says_why(make, model):
    batch = make.batch(model, [5])
    metric = RandomRank(patterns=4, words=1, samples=2)
    replaced = make.explained(5, make.paths([1.0] * 5, [[j, j, j, T] for j in range(5)], heads=[[ALL_HEADS, 1, 0]] * 5))
    scores = metric.score(model, [make.by_hand(model, batch, [replaced])], None)
    assert reasons(scores)["heads/beaten"] == "an edge of the pattern holds several heads at once."
    assert reasons(scores)["embedding/beaten"] == ""
    bundle = make.by_method(model, batch, "influence-patterns:samples=2,k=2")
    assert reasons(metric.score(model, [bundle], None))["embedding/p"].startswith("the patterns are bundles")
    gap = make.explained(5, make.paths([0.0], [[T, 0, 0, T]]))  # [MASK] moves nothing, so it is never ranked
    scores = RandomRank(patterns=4, words=99, samples=2).score(model, [make.by_hand(model, batch, [gap])], None)
    assert len(scores.rows) == 9 * 4 and reasons(scores)["embedding/normal_p"] == "the method gives no pattern of this word."
    nodes = make.by_hand(model, batch, [Explanation(nodes=np.ones((4, 5)))])
    with pytest.raises(NotApplicable, match="this metric reads patterns"):
        metric.score(model, [nodes], None)


@pytest.mark.parametrize("window", [2, 9])
def test_random_paths_are_uniform_among_those_that_there_are(window):
    distance = np.subtract.outer(np.arange(4), np.arange(4))
    attends = np.repeat(((distance >= 0) & (distance < window))[None], 3, 0)
    paths = random_paths(np.array([1, 2, 2, 3]), 6000, 4, np.random.default_rng(0), attends)
    assert paths[0].tolist() == [1, 2, 2, 3]
    there = [(1, a, b, 3) for a in range(4) for b in range(4) if attends[0, a, 1] and attends[1, b, a] and attends[2, 3, b]]
    drawn, counts = np.unique(paths[1:], axis=0, return_counts=True)
    assert [tuple(path) for path in drawn.tolist()] == there and len(there) == {2: 3, 9: 6}[window]
    assert counts / 6000 == pytest.approx(np.full(len(there), 1 / len(there)), abs=0.03)
