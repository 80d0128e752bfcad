"""Win rates against every other choice of words, one text after another, and random words at one half."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
import torch
from tests.metrics.tokens.conftest import ranked, tokens

from flowgauge.core.errors import UsageError
from flowgauge.methods.explanation import Explanation
from flowgauge.metrics.sanity.random_rationales import RandomRationaleTest
from flowgauge.metrics.tokens.word_removal import clean_probability, removable


def score(model, shown, **settings):
    return RandomRationaleTest(**settings).score(model, [shown], None)


def probability(model, single, gone, operator="delete") -> float:
    stay = single.attention_mask.clone()
    stay[0, list(gone)] = False
    ids = torch.where(stay, single.ids, model.tokenizer.mask_token_id)
    return float(clean_probability(model, single.only(stay) if operator == "delete" else replace(single, ids=ids, cache={}))[0])


def won(mine: float, others: list[float]) -> float:
    return float(np.mean([1.0 if mine > other + 1e-6 else 0.5 if abs(mine - other) <= 1e-6 else 0.0 for other in others]))


@pytest.mark.parametrize(("family", "operator"), [("bert", "delete"), ("bert", "mask"), ("gpt2", "delete"), ("llama", "delete")])
def test_the_win_rate_is_over_all_other_choices(models, batches, make, value_of, family, operator):
    model = models(family)
    batch = batches(model, [7, 6])
    rng = np.random.default_rng(3)
    shown = make.by_hand(model, batch, tokens(rng.normal(size=7), rng.normal(size=6)))
    found = score(model, shown, operator=operator, share=30)
    for row, name in enumerate(batch.names):
        single = shown.predicted_batch.rows(torch.tensor([row]))
        single = single.only(single.attention_mask)
        words = np.flatnonzero(removable(single)[0]).tolist()
        top = set(sorted(words, key=lambda position: -shown.predicted[row].tokens[position])[:2])
        others = [set(pair) for pair in combinations(words, 2) if set(pair) != top]
        falls = [-probability(model, single, pair, operator) for pair in (top, *others)]
        alone = [probability(model, single, set(words) - pair, operator) for pair in (top, *others)]
        assert value_of(found, "win_rate", name) == pytest.approx(won(falls[0], falls[1:]), abs=1e-12)
        assert value_of(found, "win_rate/alone", name) == pytest.approx(won(alone[0], alone[1:]), abs=1e-12)
        at_least = sum(fall >= falls[0] - 1e-6 for fall in falls)
        assert value_of(found, "p_value", name) == pytest.approx(at_least / len(falls), abs=1e-12)


def test_the_word_that_matters_most_always_wins_and_the_least_never(model, make, value_of):
    batch = make.batch(model, [8], seed=1)
    single = make.by_hand(model, batch, tokens(range(8))).predicted_batch
    words = np.flatnonzero(removable(single)[0]).tolist()
    left = [probability(model, single, [position]) for position in words]
    for position, expected in ((words[int(np.argmin(left))], 1.0), (words[int(np.argmax(left))], 0.0)):
        found = score(model, make.by_hand(model, batch, tokens(np.eye(8)[position])))
        assert value_of(found, "win_rate") == expected
        assert value_of(found, "p_value") == (1 / len(words) if expected else 1.0)


@pytest.mark.parametrize("variant", ["win_rate", "win_rate/alone"])
def test_random_words_win_half_of_the_time(model, make, value_of, variant):
    """All 14 other pairs of 6 words in 800 draws, or 5 of them in 20 draws of 60 texts; four standard errors."""
    rng = np.random.default_rng(0)
    drawn = Explanation(draws=tuple(tokens(*rng.random((800, 9)))))
    found = score(model, make.by_hand(model, make.batch(model, [9], seed=4), [drawn]), share=30)
    assert value_of(found, variant) == pytest.approx(0.5, abs=4 * 0.5 / 800**0.5)
    texts = make.batch(model, [9] * 60, seed=5)
    each = [Explanation(draws=tuple(tokens(*rng.random((20, 9))))) for _ in range(60)]
    found = score(model, make.by_hand(model, texts, each), share=30, samples=5)
    assert value_of(found, variant) == pytest.approx(0.5, abs=4 * 0.5 / (60 * 5) ** 0.5)


def test_all_choices_are_of_one_size_and_the_same_for_all_methods(model, make):
    batch = make.batch(model, [20])
    test = RandomRationaleTest(samples=50)
    first, other = (
        test.choices(ranked(scores, removable(batch)[0].numpy())._replace(case=next(shown.draws("predicted"))))
        for scores, shown in ((s, make.by_hand(model, batch, tokens(s))) for s in (range(20), range(20, 0, -1)))
    )
    assert first.shape == (51, 20) and set(first.sum(1)) == {4}  # ceil(.2 * 17)
    assert (first[1:] == other[1:]).all() and (first[0] != other[0]).any()
    assert not first[:, ~removable(batch)[0].numpy()].any()
    assert len(np.unique(first, axis=0)) > 40


def test_batches_do_not_matter(model, make):
    batch = make.batch(model, [16, 9, 6])
    scores = [np.random.default_rng(n).normal(size=n) for n in (16, 9, 6)]
    together = score(model, make.by_hand(model, batch, tokens(*scores)), samples=20).rows
    for row in range(3):
        single = batch.rows(torch.tensor([row]))
        shown = make.by_hand(model, single.only(single.attention_mask), tokens(scores[row]))
        alone = score(model, shown, samples=20).rows["value"].to_numpy()
        assert np.allclose(together[together["instance"] == batch.names[row]]["value"], alone, atol=1e-12)


def test_equal_falls_count_half():
    """Two lower falls, one equal and one larger: (2 + .5) / 4; below the sixth decimal, falls are equal."""
    removed = [0.5, 0.6, 0.7, 0.5 + 1e-9, 0.2]
    values = RandomRationaleTest().values(None, None, 1.0, np.array([*removed, *removed]))
    assert {name: value for name, (value, _) in values.items()} == {"win_rate": 0.625, "win_rate/alone": 0.375, "p_value": 0.6}


def test_a_text_of_one_word_has_no_other_choice(model, make):
    rows = score(model, make.by_hand(model, make.batch(model, [4]), tokens(range(4)))).rows
    assert rows["value"].isna().all() and rows["reason"].str.endswith("there is no other choice.").all()
    with pytest.raises(UsageError, match="share"):
        RandomRationaleTest(share=100)
