"""Soft removal against a plain loop over words and elements, with certain scores, and in expectation."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from tests.metrics.tokens.conftest import tokens

from flowgauge.core.errors import UsageError
from flowgauge.methods.explanation import Explanation
from flowgauge.metrics.tokens.soft_comprehensiveness_and_sufficiency import (
    SoftComprehensiveness,
    SoftSufficiency,
    sampled_probabilities,
)
from flowgauge.metrics.tokens.word_removal import clean_probability, removable
from flowgauge.models.memory import within_memory

BOTH = pytest.mark.parametrize("metric", [SoftComprehensiveness, SoftSufficiency])


def alone(batch, row):
    single = batch.rows(torch.tensor([row]))
    return single.only(single.attention_mask)


def probability(model, single, vectors) -> float:
    return float(clean_probability(model, replace(single, word_vectors=vectors, cache={}))[0])


def by_loop(model, single, scores, samples, keep) -> tuple[float, float]:
    """Normalised and raw, element by element."""
    generator = torch.Generator().manual_seed(single.seeds[0])
    words, free = model.words(single).detach(), removable(single)[0].tolist()
    picked = [score for score, word in zip(scores, free, strict=True) if word]
    whole, empty = clean_probability(model, single)[0], words.clone()
    falls = []
    for _ in range(samples):
        uniform, rest = torch.rand(words.shape[1:], generator=generator), words.clone()
        for token, element in product(range(words.shape[1]), range(words.shape[2])):
            if free[token]:
                a = (scores[token] - min(picked)) / (max(picked) - min(picked))
                empty[0, token, element] = 0
                if uniform[token, element] >= (a if keep else 1 - a):
                    rest[0, token, element] = 0
        falls.append(max(0.0, whole - probability(model, single, rest)))
    most = 1 - (1 - max(0.0, whole - probability(model, single, empty)))
    if not most:
        return np.nan, np.mean([1 - fall if keep else fall for fall in falls])
    if keep:
        soft = np.mean([1 - fall for fall in falls])
        return (soft - (1 - most)) / most, soft
    return np.mean(falls) / most, np.mean(falls)


@BOTH
@pytest.mark.parametrize("family", ["bert", "gpt2", "llama"])
def test_both_are_those_of_a_plain_loop(models, batches, make, value_of, metric, family):
    model = models(family)
    batch = batches(model, [7, 5, 6, 6], seed=5)
    scores = [[0, -3, 9, 1, 2, 4, 0], [0, 1, 5, 3, 2], [0, 2, 5, 1, 3, 1], [4, 2, 5, 0, 3, 1]]
    shown = make.by_hand(model, batch, tokens(*scores))
    found = metric(samples=3).score(model, [shown], None)
    defined = 0
    for row, name in enumerate(batch.names):
        normalised, raw = by_loop(model, alone(shown.predicted_batch, row), scores[row], 3, metric.keep)
        assert value_of(found, "raw", name) == pytest.approx(raw, abs=1e-12)
        value = value_of(found, "normalised", name)
        defined += not np.isnan(value)
        assert np.isnan(value) or value == pytest.approx(normalised, rel=1e-9)
    assert defined


def test_scores_of_0_and_1_are_certain(model, make, value_of):
    """Words with the largest score go or stay as a whole, those with the smallest the other way round."""
    batch = make.batch(model, [7], seed=4)
    scores = np.array([0.0, 1, 0, 0, 1, 0, 0])
    shown = make.by_hand(model, batch, tokens(scores))
    single, words = shown.predicted_batch, model.words(batch).detach()
    whole, top = clean_probability(model, single)[0], torch.tensor(scores > 0)
    for metric, gone in ((SoftComprehensiveness, top), (SoftSufficiency, removable(batch)[0] & ~top)):
        fall = max(0.0, whole - probability(model, single, words.masked_fill(gone[None, :, None], 0)))
        value = value_of(metric(samples=2).score(model, [shown], None), "raw")
        assert value == pytest.approx(1 - fall if metric.keep else fall, abs=1e-12)


def test_half_of_a_word_stays_on_average_over_all_choices(model, make):
    """One word of two elements that stay with probability .3: the mean over the four choices, and four standard errors."""
    small = make.model(hidden_size=4, num_attention_heads=2, intermediate_size=8)
    batch = make.batch(small, [5])
    words = small.words(batch).detach()
    stay = np.ones((1, 5))
    stay[0, 1] = 0.3
    expected, square = 0.0, 0.0
    for kept in product((0, 1), repeat=words.shape[2]):
        chance = float(np.prod([0.3 if bit else 0.7 for bit in kept]))
        vectors = words.clone()
        vectors[0, 1] *= torch.tensor(kept)
        p = probability(small, batch, vectors)
        expected, square = expected + chance * p, square + chance * p * p
    found = sampled_probabilities(small, batch, stay, 2000)
    error = ((square - expected**2) / 2000) ** 0.5
    assert float(found.mean()) == pytest.approx(expected, abs=4 * error)
    assert abs(expected - clean_probability(small, batch)[0]) > 20 * error > 0


@BOTH
def test_draws_share_what_is_drawn_and_memory_and_padding_do_not_matter(model, make, metric):
    batch = make.batch(model, [9, 6])
    scores = [np.random.default_rng(n).integers(0, 9, (3, n)) for n in (9, 6)]
    drawn = [Explanation(draws=tuple(tokens(*rows))) for rows in scores]
    together = metric().score(model, [make.by_hand(model, batch, drawn)], None).rows
    with within_memory(2**26):
        few = metric().score(model, [make.by_hand(model, batch, drawn)], None).rows
    assert np.allclose(together["value"], few["value"], atol=1e-12, equal_nan=True)
    for row in range(2):
        shown = make.by_hand(model, alone(batch, row), [Explanation(tokens=scores[row][2].astype(np.float32))])
        single = metric().score(model, [shown], None).rows["value"].to_numpy()
        mine = together[(together["instance"] == batch.names[row]) & (together["draw"] == 2)]["value"].to_numpy()
        assert np.allclose(mine, single, atol=1e-12, equal_nan=True)


def test_what_is_undefined_says_why(model, make):
    batch = make.batch(model, [6])
    rows = SoftSufficiency().score(model, [make.by_hand(model, batch, tokens([1] * 6))], None).rows
    assert rows["value"].isna().all() and rows["reason"].str.contains("all the same").all()
    bare = replace(batch, word_ids=torch.full_like(batch.word_ids, -1))
    rows = SoftSufficiency().score(model, [make.by_hand(model, bare, tokens(range(6)))], None).rows
    assert set(rows["reason"]) == {"the instance has no word that can be removed."}
    assert np.isnan(SoftSufficiency()._values(0.005, 0.009)["normalised"][0])
    assert SoftSufficiency()._values(0.1, 0.4) == {"normalised": (0.75, ""), "raw": (0.9, "")}
    assert SoftComprehensiveness()._values(0.1, 0.4) == {"normalised": (0.25, ""), "raw": (0.1, "")}
    with pytest.raises(UsageError, match="samples"):
        SoftSufficiency(samples=0)
