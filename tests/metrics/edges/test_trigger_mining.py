"""Triggers read from edges, by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.metrics.edges.conftest import CLS, PAIR, SEP

from flowgauge.core.errors import NotApplicable
from flowgauge.methods.explanation import Explanation
from flowgauge.metrics.edges.trigger_mining import (
    Trigger,
    TriggerSentence,
    WordPiece,
    has_sentiment,
    read_trigger,
    strongest_edges,
)

SENTENCE = TriggerSentence("x", [CLS, 10, 11, 12, SEP, 13, 14, SEP], PAIR, (("ab", "c"), ("d", "terrible.")))


def read(edges, score="sum", ratio=0.2, avoid=True, sentence=SENTENCE):
    return read_trigger(edges, sentence, score, ratio, avoid)


def test_the_strongest_edges_are_of_one_head():
    edges = np.zeros((2, 3, 4, 4))
    edges[1, 2, 3, 0], edges[1, 2, 1, 1], edges[0, 0, 2, 2], edges[1, 2, 0, 2] = 9.0, 5.0, 8.0, 5.0
    assert strongest_edges(Explanation(edges=edges)) == [(3, 0, 9.0), (0, 2, 5.0)]  # not the 8 of another head; first on ties
    with pytest.raises(NotApplicable, match="the method gives nodes, and triggers are read from edges"):
        strongest_edges(Explanation(nodes=np.ones((3, 4))))


def test_a_trigger_by_hand():
    found = read([(5, 1, 0.5), (3, 1, 0.25)])
    assert found == Trigger((WordPiece(10, 0, 1 / 3), WordPiece(12, 0, 1.0), WordPiece(13, 1, 0.5)), 0.75)
    assert read([(5, 1, 0.5), (3, 1, 0.25)], score="max").score == 0.5
    weak = [(5, 1, 0.5), (3, 2, 0.09)]
    assert [p.id for p in read(weak).pieces] == [10, 13] and read(weak).score == pytest.approx(0.59)
    assert [p.id for p in read(weak, ratio=0).pieces] == [10, 11, 12, 13]
    assert [p.id for p in read([(0, 1, 0.5), (4, 7, 0.4)]).pieces] == [10]
    assert read([(0, 4, 0.5), (7, 7, 0.4)]) is None  # special tokens only
    assert read([(1, 2, 0.0), (1, 3, 0.0)]) is None
    assert read([(1, 6, 0.5), (1, 3, 0.4)]) is None  # "terrible."
    assert [p.id for p in read([(1, 6, 0.5), (1, 3, 0.4)], avoid=False).pieces] == [10, 12, 14]
    assert [p.id for p in read([(1, 3, 0.5), (2, 3, 0.4)], sentence=replace(SENTENCE, gap=12)).pieces] == [10, 11]


@pytest.mark.parametrize("word", ["terrible", "Terrible,", "self-indulgent", "brilliantly", "boring", "happier", "uglier"])
def test_words_with_sentiment(word):
    assert has_sentiment(word)


@pytest.mark.parametrize(
    "word",
    ["happen", "number", "painting", "respectively", "gentleman", "nobody", "not", "also", "Iowa", "likely", "son", "wine"],
)
def test_words_without(word):
    assert not has_sentiment(word)
