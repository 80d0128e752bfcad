"""Comprehensiveness and sufficiency, against the model on shorter sentences."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tests.metrics.tokens.conftest import passes, tokens

from flowgauge.core.errors import NotApplicable, UsageError
from flowgauge.methods.explanation import Explanation
from flowgauge.metrics.tokens.comprehensiveness_and_sufficiency import (
    SHARES,
    Comprehensiveness,
    Sufficiency,
    clean_probability,
    kept_words,
    masked,
    probabilities,
    removable,
)
from flowgauge.metrics.tokens.infidelity_and_sensitivity import Infidelity, Sensitivity


def test_what_can_be_removed_are_words(model, make):
    batch = make.batch(model, [6, 4])  # [CLS] w w w w [SEP], the target at 2
    assert removable(batch).tolist() == [[False, True, False, True, True, False], [False, True, False, False, False, False]]


def test_shares_are_rounded_up_and_ties_go_to_lower_positions():
    candidates = np.array([False, *[True] * 9, False])
    scores = np.array([9.0, 1, 1, 3, 1, 1, 1, 1, 1, 2, 9.0])
    left = kept_words(scores, candidates, keep=False)
    assert [np.flatnonzero(~row).tolist() for row in left] == [[3], [3], [3], [3, 9], [1, 2, 3, 4, 9]]
    assert (kept_words(scores, candidates, keep=True)[:, [0, 10]]).all()
    assert ((kept_words(scores, candidates, keep=True) ^ left)[:, 1:10]).all()


@pytest.mark.parametrize("operator", ["delete", "mask"])
@pytest.mark.parametrize(("metric", "keep"), [(Comprehensiveness, False), (Sufficiency, True)])
def test_erasure_is_the_models_probability_on_shorter_sentences(model, make, value_of, metric, keep, operator):
    batch = make.batch(model, [7, 5])
    shown = make.by_hand(model, batch, tokens([0, 3, 0, 1, 2, 4, 0], [0, 1, 0, 2, 0]))
    scores = metric(operator).score(model, [shown], None)
    for row, name in reversed(list(enumerate(batch.names))):
        alone = shown.predicted_batch.rows(torch.tensor([row]))
        whole, drops = clean_probability(model, alone)[0], []
        for left in kept_words(shown.predicted[row].tokens, removable(alone)[0].numpy(), keep):
            stay = torch.from_numpy(left)[None]
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


def test_what_takes_a_masked_words_place(model, make, monkeypatch):
    batch = make.batch(model, [5])
    stay = torch.tensor([[1, 0, 1, 1, 1]], dtype=torch.bool)
    for named, expected in (({"mask": 4, "unk": 3}, 4), ({"mask": None, "unk": 3}, 3), ({"pad": 0}, 0)):
        monkeypatch.setattr(model, "tokenizer", SimpleNamespace(**{f"{k}_token_id": v for k, v in named.items()}))
        assert masked(model, batch, stay).ids[0].tolist() == [*batch.ids[0, :1].tolist(), expected, *batch.ids[0, 2:].tolist()]
    monkeypatch.setattr(model, "tokenizer", SimpleNamespace(mask_token_id=None))
    with pytest.raises(NotApplicable, match="use operator=delete"):
        masked(model, batch, stay)


def test_sentences_without_removable_words_are_undefined(model, make):
    batch = make.batch(model, [3])
    batch = replace(batch, word_ids=torch.full_like(batch.word_ids, -1))
    rows = Comprehensiveness().score(model, [make.by_hand(model, batch, tokens([1, 1, 1]))], None).rows
    assert rows["value"].isna().all() and set(rows["reason"]) == {"the instance has no word that can be removed."}


def test_the_probability_of_pairs_is_of_the_two(model, make):
    batch = make.batch(model, [5, 6])
    with torch.no_grad():
        q = (model.outputs(batch)[0].gather(1, batch.answer) - model.outputs(batch)[0].gather(1, batch.against))[:, 0]
    assert clean_probability(model, batch) == pytest.approx(q.sigmoid().numpy())
    whole = model.outputs(batch)[0].softmax(1).gather(1, batch.answer)[:, 0].detach().numpy()
    assert clean_probability(model, replace(batch, pairwise=False)) == pytest.approx(whole)


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
