"""Normalised areas against every order of the words, and searches against tables solved by enumeration."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
import torch
from tests.metrics.tokens.conftest import passes, tokens

from flowgauge.methods.explanation import Explanation
from flowgauge.metrics.tokens.naopc import NormalisedComprehensiveness, NormalisedSufficiency, search
from flowgauge.metrics.tokens.word_removal import clean_probability, removable

BOTH = pytest.mark.parametrize("metric", [NormalisedComprehensiveness, NormalisedSufficiency])


def aopc(model, single, order, operator="delete") -> float:
    """The mean fall of the probability over the steps of an order, one text after another."""
    whole, falls, stay = clean_probability(model, single)[0], [], single.attention_mask.clone()
    for position in order:
        stay[0, position] = False
        ids = torch.where(stay, single.ids, model.tokenizer.mask_token_id)
        part = single.only(stay) if operator == "delete" else replace(single, ids=ids, cache={})
        falls.append(whole - clean_probability(model, part)[0])
    return float(np.mean(falls))


def enumerated(model, single, operator="delete") -> dict[tuple[int, ...], float]:
    """The area of every order of an instance's words."""
    words = np.flatnonzero(removable(single)[0].numpy()).tolist()
    return {order: aopc(model, single, order, operator) for order in permutations(words)}


@pytest.mark.parametrize(("family", "operator"), [("bert", "delete"), ("bert", "mask"), ("gpt2", "delete"), ("llama", "delete")])
def test_the_ends_are_those_of_all_orders(models, batches, make, value_of, family, operator):
    model = models(family)
    batch = batches(model, [5, 4])
    rng = np.random.default_rng(0)
    shown = make.by_hand(model, batch, tokens(rng.normal(size=5), rng.normal(size=4)))
    for row, name in enumerate(batch.names):
        single = shown.predicted_batch.rows(torch.tensor([row]))
        single = single.only(single.attention_mask)
        every = enumerated(model, single, operator)
        low, high = min(every.values()), max(every.values())
        scores = shown.predicted[row].tokens
        order = tuple(sorted(next(iter(every)), key=lambda position: -scores[position]))
        for metric, asked in ((NormalisedComprehensiveness, order), (NormalisedSufficiency, order[::-1])):
            found = metric(operator).score(model, [shown], None)
            assert value_of(found, "aopc", name) == pytest.approx(every[asked], abs=1e-12)
            assert value_of(found, "lowest", name) == pytest.approx(low, abs=1e-12)
            assert value_of(found, "highest", name) == pytest.approx(high, abs=1e-12)
            assert value_of(found, "naopc", name) == pytest.approx((every[asked] - low) / (high - low), abs=1e-9)


def test_the_best_order_has_1_and_the_worst_0(model, make, value_of):
    batch = make.batch(model, [7], seed=1)
    every = enumerated(model, make.by_hand(model, batch, tokens(range(7))).predicted_batch)
    for order, expected in ((max(every, key=every.__getitem__), 1.0), (min(every, key=every.__getitem__), 0.0)):
        scores = np.zeros(7)
        scores[list(order)] = range(len(order), 0, -1)
        assert value_of(score(model, make.by_hand(model, batch, tokens(scores))), "naopc") == pytest.approx(expected, abs=1e-9)
        reverse = NormalisedSufficiency().score(model, [make.by_hand(model, batch, tokens(-scores))], None)
        assert value_of(reverse, "naopc") == pytest.approx(expected, abs=1e-9)


def score(model, shown, **settings):
    return NormalisedComprehensiveness(**settings).score(model, [shown], None)


def test_random_orders_have_the_mean_over_all_orders(model, make, value_of):
    """600 draws of 24 orders, and four standard errors."""
    batch = make.batch(model, [7], seed=2)
    every = np.array(list(enumerated(model, make.by_hand(model, batch, tokens(range(7))).predicted_batch).values()))
    share = (every - every.min()) / np.ptp(every)
    drawn = Explanation(draws=tuple(tokens(*np.random.default_rng(1).random((600, 7)))))
    mean = value_of(score(model, make.by_hand(model, batch, [drawn])), "naopc")
    assert mean == pytest.approx(share.mean(), abs=4 * share.std() / 600**0.5)


@pytest.mark.parametrize("seed", range(5))
def test_a_search_of_all_sets_is_exact_and_a_beam_no_better(seed):
    table = np.random.default_rng(seed).random(2**5)
    means = [np.mean([table[sum(1 << e for e in order[: m + 1])] for m in range(5)]) for order in permutations(range(5))]
    exact = search(lambda sets: [float(table[s]) for s in sets], 5, None)
    assert exact == pytest.approx((min(means), max(means)), abs=1e-12)
    for width in (1, 2, 4):
        least, most = search(lambda sets: [float(table[s]) for s in sets], 5, width)
        assert exact.least - 1e-12 <= least <= most <= exact.most + 1e-12
    assert search(lambda sets: [float(table[s]) for s in sets], 5, 10) == pytest.approx(exact, abs=1e-12)


def test_a_greedy_beam_by_hand():
    """One set at a time: the smaller first value leads to .1 + .9, the other way would be .2 + .1 + ... of three elements."""
    table = {1: 0.1, 2: 0.2, 4: 0.9, 3: 0.9, 5: 0.8, 6: 0.1, 7: 0.5}
    least, most = search(lambda sets: [table[s] for s in sets], 3, 1)
    assert least == pytest.approx((0.1 + 0.8 + 0.5) / 3) and most == pytest.approx((0.9 + 0.8 + 0.5) / 3)
    assert search(lambda sets: [table[s] for s in sets], 3, None).least == pytest.approx((0.2 + 0.1 + 0.5) / 3)


def test_ends_are_searched_once_for_all_methods_and_anew_for_other_weights(make, value_of, monkeypatch):
    model = make.model(seed=5)
    batch = make.batch(model, [8])
    sizes = passes(monkeypatch, model)
    first = score(model, make.by_hand(model, batch, tokens(range(8))))
    searched = len(sizes)
    NormalisedSufficiency().score(model, [make.by_hand(model, batch, tokens(range(8, 0, -1)))], None)
    assert searched > 5 and len(sizes) - searched == 3  # `make.by_hand` predicts, the whole, and the order's steps
    with torch.no_grad():
        model.hf.bert.encoder.layer[0].output.dense.weight.mul_(-1)
    again = score(model, make.by_hand(model, batch, tokens(range(8))))
    assert len(sizes) - searched > 8 and value_of(first, "highest") != pytest.approx(value_of(again, "highest"), abs=1e-6)


@BOTH
def test_batches_do_not_matter_and_long_texts_take_a_beam(model, make, metric):
    batch = make.batch(model, [9, 7, 5])
    scores = [np.random.default_rng(n).normal(size=n) for n in (9, 7, 5)]
    together = metric(exact=3, beam=2).score(model, [make.by_hand(model, batch, tokens(*scores))], None).rows
    for row in range(3):
        single = batch.rows(torch.tensor([row]))
        shown = make.by_hand(model, single.only(single.attention_mask), tokens(scores[row]))
        alone = metric(exact=3, beam=2).score(model, [shown], None).rows["value"].to_numpy()
        mine = together[together["instance"] == batch.names[row]]["value"].to_numpy()
        assert np.allclose(mine, alone, atol=1e-9)
        exact = metric().score(model, [shown], None).rows.set_index("variant")["value"]
        assert exact["lowest"] <= alone[2] + 1e-12 and alone[3] <= exact["highest"] + 1e-12


def test_long_texts_have_sets_of_more_than_64_words():
    """A set of 70 words is a number that no machine word holds."""
    assert search(lambda sets: [float(s.bit_count()) for s in sets], 70, 2) == pytest.approx((35.5, 35.5))


def test_what_has_no_value_says_why(model, make):
    shown = make.by_hand(model, make.batch(model, [8]), tokens(range(8)))
    rows = score(model, shown, most_words=4).rows
    assert rows["value"].isna().all() and set(rows["reason"]) == {"the text has 5 words, more than the 4 of most_words."}
    shown = make.by_hand(model, make.batch(model, [4]), tokens(range(4)))
    rows = score(model, shown).rows.set_index("variant")
    assert rows.loc["naopc", "reason"].startswith("every order") and rows.loc["aopc", "value"] == rows.loc["highest", "value"]
