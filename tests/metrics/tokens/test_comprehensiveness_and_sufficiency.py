"""Comprehensiveness and sufficiency, against the model on shorter sentences."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.metrics.tokens.conftest import passes, ranked, tokens

from flowgauge.core.errors import UsageError
from flowgauge.methods.explanation import Explanation
from flowgauge.metrics.tokens.comprehensiveness_and_sufficiency import SHARES, Comprehensiveness, LogOdds, Sufficiency
from flowgauge.metrics.tokens.infidelity_and_sensitivity import Infidelity, Sensitivity
from flowgauge.metrics.tokens.word_removal import clean_probability, probabilities, removable


@pytest.mark.parametrize("operator", ["delete", "mask"])
@pytest.mark.parametrize(("metric", "keep"), [(Comprehensiveness, False), (Sufficiency, True)])
def test_erasure_is_the_models_probability_on_shorter_sentences(model, make, value_of, metric, keep, operator):
    batch = make.batch(model, [7, 5])
    shown = make.by_hand(model, batch, tokens([0, 3, 0, 1, 2, 4, 0], [0, 1, 0, 2, 0]))
    scores = metric(operator).score(model, [shown], None)
    for row, name in reversed(list(enumerate(batch.names))):
        alone = shown.predicted_batch.rows(torch.tensor([row]))
        whole, drops = clean_probability(model, alone)[0], []
        words = ranked(shown.predicted[row].tokens, removable(alone)[0].numpy())
        for share in SHARES:
            stay = torch.from_numpy(words.left([math.ceil(share * len(words.order) / 100)], keep))
            ids = torch.where(stay, alone.ids, model.tokenizer.mask_token_id)
            part = alone.only(stay) if operator == "delete" else replace(alone, ids=ids, cache={})
            drops.append(whole - clean_probability(model, part)[0])
        assert [value_of(scores, f"top/{k}", name) for k in SHARES] == pytest.approx(drops, abs=1e-12)
        assert value_of(scores, "aopc", name) == pytest.approx(np.mean(drops), abs=1e-12)
    assert len({round(d, 9) for d in drops}) > 1


def test_a_ranking_by_single_removals_beats_its_reverse(model, make):
    batch = make.batch(model, [8] * 6, seed=3)
    shown = make.by_hand(model, batch, tokens(*[[0.0] * 8] * 6))
    words = removable(shown.predicted_batch).numpy()
    falls = np.zeros(words.shape)
    for at in range(8):
        left = np.ones_like(words)
        left[:, at] = ~words[:, at]
        falls[:, at] = clean_probability(model, shown.predicted_batch) - probabilities(
            model, shown.predicted_batch, range(6), left, "delete"
        )
    good, bad = (make.by_hand(model, batch, tokens(*(sign * falls))) for sign in (1, -1))
    top = [Comprehensiveness().score(model, [s], None).rows.query("variant == 'top/1'")["value"].to_numpy() for s in (good, bad)]
    assert (top[0] >= top[1]).all() and (top[0] > top[1]).any()


def test_removing_the_right_words_beats_the_reverse_by_the_area(model, make, value_of):
    """One word decides: all shares that remove it lose what it is worth, and those that keep it nothing."""
    batch = make.batch(model, [12], seed=1)
    drops = {}
    for at in removable(batch)[0].nonzero()[:, 0].tolist():
        shown = make.by_hand(model, batch, tokens(np.eye(12)[at]))
        drops[at] = value_of(Comprehensiveness().score(model, [shown], None), "top/1")
    order = np.zeros(12)
    order[list(drops)] = list(drops.values())
    top = [
        value_of(Comprehensiveness().score(model, [make.by_hand(model, batch, tokens(s * order))], None), "top/1")
        for s in (1, -1)
    ]
    assert top == [max(drops.values()), min(drops.values())] and top[0] > top[1]


def test_equal_questions_are_asked_once(model, make, monkeypatch):
    """Of 5 removable words, 1, 5, 10 and 20 percent are one word and 50 are three: two questions, and one for the whole."""
    batch = make.batch(model, [8])
    shown = make.by_hand(model, batch, tokens(range(8)))
    sizes = passes(monkeypatch, model)
    rows = Comprehensiveness().score(model, [shown], None).rows
    assert sizes == [1, 2]
    values = rows["value"].tolist()
    assert values[0] == values[1] == values[2] == values[3] != values[4]


@pytest.mark.parametrize("metric", [Comprehensiveness, Sufficiency])
@pytest.mark.parametrize("operator", ["delete", "mask"])
def test_erasure_does_not_depend_on_padding_or_draws_beside(model, make, metric, operator):
    batch, scores = make.batch(model, [9, 6, 4]), [np.random.default_rng(n).normal(size=n) for n in (9, 6, 4)]
    drawn = [Explanation(draws=(Explanation(tokens=s), Explanation(tokens=-s))) for s in scores]
    together = metric(operator).score(model, [make.by_hand(model, batch, drawn)], None).rows
    for row in range(len(batch)):
        alone = batch.rows(torch.tensor([row]))
        shown = make.by_hand(model, alone.only(alone.attention_mask), tokens(-scores[row]))
        found = metric(operator).score(model, [shown], None).rows["value"].to_numpy()
        mine = together[(together["instance"] == batch.names[row]) & (together["draw"] == 1)]["value"].to_numpy()
        assert mine == pytest.approx(found, abs=1e-12)


def test_sentences_without_removable_words_are_undefined(model, make):
    batch = make.batch(model, [3])
    batch = replace(batch, word_ids=torch.full_like(batch.word_ids, -1))
    rows = Comprehensiveness().score(model, [make.by_hand(model, batch, tokens([1, 1, 1]))], None).rows
    assert rows["value"].isna().all() and set(rows["reason"]) == {"the instance has no word that can be removed."}


@pytest.mark.parametrize(
    ("make_it", "said"),
    [
        (lambda: Comprehensiveness("cut"), "operator must be"), (lambda: Infidelity(1), "at least 2"),
        (lambda: Sensitivity(0.0), "radius must be above 0"),
    ],
)  # fmt: skip
def test_refused_settings(make_it, said):
    with pytest.raises(UsageError, match=said):
        make_it()


@pytest.mark.parametrize("operator", ["delete", "mask"])
def test_log_odds_are_differences_of_logarithms(model, make, value_of, operator):
    """The probability left follows from `comprehensiveness`, share by share."""
    batch = make.batch(model, [9, 7])
    shown = make.by_hand(model, batch, tokens(range(9), [3, 1, 2, 5, 4, 0, 6]))
    falls, logs = (metric(operator).score(model, [shown], None) for metric in (Comprehensiveness, LogOdds))
    whole = clean_probability(model, shown.predicted_batch)
    for row, name in enumerate(batch.names):
        expected = [math.log(whole[row] / (whole[row] - value_of(falls, f"top/{k}", name))) for k in SHARES]
        assert [value_of(logs, f"top/{k}", name) for k in SHARES] == pytest.approx(expected, abs=1e-9)
        assert value_of(logs, "aopc", name) == pytest.approx(np.mean(expected), abs=1e-9)


def test_a_probability_of_0_has_a_logarithm():
    assert LogOdds().fall(1.0, np.array([0.0, 1.0])).tolist() == [pytest.approx(708.396, abs=1e-3), 0.0]


def test_random_words_lose_the_mean_over_all_words(model, make, value_of):
    """`random` removes each of the words equally often at the smallest share: 400 draws, and three standard errors."""
    batch = make.batch(model, [9])
    words = np.flatnonzero(removable(batch)[0])
    each = [make.by_hand(model, batch, tokens(np.eye(9)[position])) for position in words]
    single = [value_of(LogOdds().score(model, [shown], None), "top/1") for shown in each]
    rng = np.random.default_rng(0)
    drawn = Explanation(draws=tuple(tokens(*rng.random((400, 9)))))
    mean = value_of(LogOdds().score(model, [make.by_hand(model, batch, [drawn])], None), "top/1")
    assert mean == pytest.approx(np.mean(single), abs=3 * np.std(single) / 20) and np.std(single) > 0.01
