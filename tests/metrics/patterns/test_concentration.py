"""Concentration of influence, by hand."""

from __future__ import annotations

import numpy as np
import pytest
from tests.metrics.conftest import aggregate
from tests.metrics.patterns.conftest import T

from flowgauge.core.errors import NotApplicable, UsageError
from flowgauge.methods.explanation import Explanation
from flowgauge.metrics.patterns.concentration import Concentration


def test_concentration(model, shown, value_of):
    scores = Concentration().score(model, [shown], None)
    expected = {
        "positive/embedding": [1.5 / 3, 0.9], "negative/embedding": [0.25, np.nan],
        "positive/attention": [0.6 / 3, 0.45], "negative/attention": [0.2, np.nan],
    }  # fmt: skip
    for variant, values in expected.items():
        assert [value_of(scores, variant, name) for name in shown.batch.names] == pytest.approx(values, nan_ok=True)
    undefined = aggregate(scores, "negative/embedding")
    assert (undefined.value, undefined.count, undefined.undefined) == (0.25, 1, 1)
    assert undefined.reason == "no word has negative influence."
    corpus = aggregate(scores, "positive/embedding/corpus")
    assert (corpus.value, corpus.count) == (pytest.approx(3.3 / 5), 2)
    assert np.isnan(corpus.low) and corpus.reason == "an interval needs 12 instances, and the 2 are worth 1.8 of equal weight."
    assert aggregate(scores, "negative/attention/corpus").value == pytest.approx(0.2)


def test_concentration_without_influence_at_the_attention_level(make, model):
    flat = make.explained(5, make.paths([2.0], [[0, 0, 0, T]], [1.0]))
    scores = Concentration().score(model, [make.by_hand(model, make.batch(model, [5]), [flat])], None)
    assert aggregate(scores, "positive/embedding").value == 0.5
    assert aggregate(scores, "positive/attention").reason == "the patterns have no influence at the attention level."
    with pytest.raises(StopIteration):
        next(a for a in scores.aggregates if a.variant == "positive/attention/corpus")


def test_concentration_needs_influence(make, model):
    unsigned = Explanation(patterns=make.paths([0.5], [[0, 0, 0, T]]))
    with pytest.raises(NotApplicable, match="patterns come without token scores"):
        Concentration().score(model, [make.by_hand(model, make.batch(model, [5]), [unsigned])], None)


def test_a_word_with_two_patterns_counts_once(make, model, value_of):
    batch = make.batch(model, [5])
    shown = make.by_hand(model, batch, [make.explained(5, make.paths([1.0, 1.0], [[0, 0, 0, 2], [0, 1, 1, 2]], [0.5, 0.4]))])
    assert value_of(Concentration().score(model, [shown], None), "positive/embedding") == pytest.approx(0.9)


def test_the_other_reading_is_the_mean_over_words_of_their_shares(make, model, value_of):
    batch = make.batch(model, [5])
    paths = make.paths([2.0, 1.0, -4.0], [[0, 0, 0, T], [1, 0, T, T], [3, T, T, T]], [1.0, 0.9, -1.0])
    shown = make.by_hand(model, batch, [make.explained(5, paths)])
    by_words, by_sums = (Concentration(reading).score(model, [shown], None) for reading in ("words", "sums"))
    assert value_of(by_words, "positive/embedding") == pytest.approx((1 / 2 + 0.9 / 1) / 2)
    assert value_of(by_sums, "positive/embedding") == pytest.approx(1.9 / 3)
    assert value_of(by_words, "negative/embedding") == pytest.approx(1 / 4)
    with pytest.raises(UsageError, match="reading must be sums or words, got 'mean'"):
        Concentration("mean")
