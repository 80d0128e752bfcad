"""Areas under the curves of insertion and deletion, against the model on one text after another and by hand."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise, permutations

import numpy as np
import pytest
import torch
from tests.metrics.tokens.conftest import passes, ranked, tokens

from flowgauge.core.errors import UsageError
from flowgauge.methods.explanation import Explanation
from flowgauge.metrics.tokens.word_curves import WordDeletion, WordInsertion
from flowgauge.metrics.tokens.word_removal import clean_probability, removable

BOTH = pytest.mark.parametrize("metric", [WordInsertion, WordDeletion])


def area(model, single, order, insert, operator="delete") -> float:
    """The area by a plain loop over the words of one instance."""
    probabilities = []
    for count in range(len(order) + 1):
        stay = single.attention_mask.clone()
        for position in order:
            stay[0, position] = (position in order[:count]) == insert
        ids = torch.where(stay, single.ids, model.tokenizer.mask_token_id)
        part = single.only(stay) if operator == "delete" else replace(single, ids=ids, cache={})
        probabilities.append(clean_probability(model, part)[0])
    return sum((one + other) / 2 for one, other in pairwise(probabilities)) / len(order)


@BOTH
@pytest.mark.parametrize("operator", ["delete", "mask"])
def test_areas_are_those_of_a_plain_loop(model, make, value_of, metric, operator):
    batch = make.batch(model, [8, 6])
    shown = make.by_hand(model, batch, tokens([0, 3, 9, 1, 2, 4, 0, 5], [0, 1, 0, 3, 2, 0]))
    scores = metric(operator).score(model, [shown], None)
    for row, name in enumerate(batch.names):
        single = shown.predicted_batch.rows(torch.tensor([row]))
        single = single.only(single.attention_mask)
        order = ranked(shown.predicted[row].tokens, removable(single)[0].numpy()).order.tolist()
        expected = area(model, single, order, metric.insert, operator)
        assert value_of(scores, "area", name) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("family", ["gpt2", "llama"])
@BOTH
def test_decoders_keep_the_word_that_q_is_read_at(models, batches, make, value_of, metric, family):
    model = models(family)
    batch = batches(model, [6, 5])
    scores = metric().score(model, [make.by_hand(model, batch, tokens([5, 1, 4, 2, 3, 9], [1, 2, 3, 4, 5]))], None)
    shown = make.by_hand(model, batch, tokens(range(6), range(5)))
    for row, order in enumerate(([0, 2, 4, 3, 1], [3, 2, 1, 0])):
        single = shown.predicted_batch.rows(torch.tensor([row]))
        expected = area(model, single.only(single.attention_mask), order, metric.insert)
        assert value_of(scores, "area", batch.names[row]) == pytest.approx(expected, abs=1e-12)


@BOTH
def test_an_area_by_hand(model, metric):
    """Probabilities .2, .6, 1 of no, one and two words: (.2 + .6) / 4 + (.6 + 1) / 4."""
    words = ranked([1.0, 2.0], np.array([True, True]))
    assert metric().values(model, words, 1.0, np.array([0.2, 0.6, 1.0]))["area"][0] == pytest.approx(0.6)


def test_the_orders_of_insertion_and_deletion_are_each_others_reverse(model, make, value_of):
    """The last word to come is the first to go: the two areas of an order and its reverse are the same."""
    batch = make.batch(model, [9])
    scores = np.random.default_rng(0).normal(size=9)
    come = WordInsertion().score(model, [make.by_hand(model, batch, tokens(scores))], None)
    go = WordDeletion().score(model, [make.by_hand(model, batch, tokens(-scores))], None)
    assert value_of(come, "area") == pytest.approx(value_of(go, "area"), abs=1e-12)


@BOTH
def test_random_orders_have_the_mean_over_all_orders(model, make, value_of, metric):
    """4 words have 24 orders; 600 draws, and four standard errors."""
    batch = make.batch(model, [7], seed=2)
    shown = make.by_hand(model, batch, tokens(range(7)))
    words = np.flatnonzero(removable(batch)[0]).tolist()
    each = [area(model, shown.predicted_batch, order, metric.insert) for order in permutations(words)]
    drawn = Explanation(draws=tuple(tokens(*np.random.default_rng(1).random((600, 7)))))
    mean = value_of(metric().score(model, [make.by_hand(model, batch, [drawn])], None), "area")
    assert mean == pytest.approx(np.mean(each), abs=4 * np.std(each) / 600**0.5) and np.std(each) > 0.005
    best = tokens(np.zeros(7))[0].tokens
    best[list(list(permutations(words))[int(np.argmax(each))])] = range(len(words), 0, -1)
    assert value_of(metric().score(model, [make.by_hand(model, batch, tokens(best))], None), "area") == pytest.approx(max(each))


def test_long_texts_take_several_words_a_step(model, make, monkeypatch):
    shown = make.by_hand(model, make.batch(model, [12]), tokens(range(12)))
    sizes = passes(monkeypatch, model)
    WordDeletion(steps=3).score(model, [shown], None)
    assert sizes == [1, 4]
    words = ranked(range(9), np.ones(9, bool))
    assert (~WordDeletion(steps=3).inputs(words)).sum(1).tolist() == [0, 3, 6, 9]
    assert WordInsertion(steps=50).inputs(words).sum(1).tolist() == list(range(10))
    with pytest.raises(UsageError, match="steps"):
        WordDeletion(steps=0)
