"""Inserted triggers, by hand and against the model."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from tests.metrics.edges.conftest import CLS, PAIR, SEP

from flowgauge.metrics.edges.trigger_insertion import insert, places
from flowgauge.metrics.edges.trigger_mining import (
    WordPiece,
)
from flowgauge.models.batch import Batch


def test_places_by_hand():
    """(n, relative places) to indices: halves to even, one further where the index repeats, past the end appends."""
    assert places(10, []) == []
    assert places(4, [0.5]) == [2]  # 2.5
    assert places(6, [0.5]) == [4]  # 3.5
    assert places(5, [1.0]) == [6]
    assert places(4, [0.25, 0.26]) == [2, 3]  # 1.5 and 1.56
    assert places(4, [0.25, 0.26, 0.27]) == [2, 3, 2]  # only the index just used moves on
    assert places(1, [1.0, 1.0]) == [3, 4]


@pytest.mark.parametrize("n", [5, 9, 16])
def test_a_trigger_put_back_lands_one_place_to_the_right(n):
    for chosen in ([2], [1, 4], [1, 3, 4]):
        left = [i for i in range(1, n + 1) if i not in chosen]
        for at, k in zip(places(n - len(chosen), [k / n for k in chosen]), chosen, strict=True):
            left.insert(at, k)
        assert [left.index(k) + 1 for k in chosen] == [min(k + 1, n) for k in chosen]


def pair_batch(second: int = 2) -> Batch:
    """[CLS] a b c [SEP] d e [SEP] and, padded, [CLS] a b c [SEP]."""
    ids = torch.tensor([[CLS, 10, 11, 12, SEP, 13, 14, SEP], [CLS, 20, 21, 22, SEP, 0, 0, 0]])
    words = torch.tensor([PAIR, [*PAIR[:5], *[(-1, -1)] * 3]])
    kinds = torch.tensor([[0, 0, 0, 0, 0, 1, 1, 1], [0] * 8])
    answer = torch.tensor([[0], [1]])
    return Batch(ids, ids > 0, kinds, words, answer, 1 - answer, torch.tensor([0, second]), ("p", "s"), (0, 1))


def test_insertion_by_hand(classifier):
    trigger = (WordPiece(30, 0, 1 / 3), WordPiece(31, 0, 1 / 3), WordPiece(32, 1, 1.0))
    made = insert(classifier, pair_batch(), [0, 1, 1], [trigger, trigger, ()])
    assert made.ids.tolist() == [
        [CLS, 10, 11, 30, 31, 12, SEP, 13, 14, 32, SEP],  # round(5/3) = 2, then 3; round(3 x 1) = 3 appends
        [CLS, 20, 21, 30, 31, 22, SEP, 0, 0, 0, 0],  # no second text
        [CLS, 20, 21, 22, SEP, 0, 0, 0, 0, 0, 0],
    ]
    assert made.token_type_ids[0].tolist() == [0] * 7 + [1] * 4
    assert (made.attention_mask == (made.ids > 0)).all()
    assert made.word_ids[0, :, 0].tolist() == [-1, 0, 0, 0, 0, 0, -1, 1, 1, 1, -1]
    assert made.word_ids[0, :, 1].tolist() == [-1, 0, 0, -1, -1, 1, -1, 0, 1, -1, -1]
    assert made.target is not None and made.target.tolist() == [0, 2, 2]
    moved = insert(classifier, pair_batch(3), [1], [(WordPiece(30, 0, 1 / 3),)])
    assert moved.ids.tolist() == [[CLS, 20, 30, 21, 22, SEP]] and moved.target is not None and moved.target.tolist() == [4]


def test_what_is_too_long_loses_the_end_of_its_longer_segment(classifier):
    trigger = (WordPiece(30, 1, 0.5), WordPiece(31, 1, 0.5))
    made = insert(classifier, pair_batch(), [0], [trigger], longest=8)
    assert made.ids.tolist() == [[CLS, 10, 11, 12, SEP, 13, 14, SEP]]  # d e 30 31: 31, then, as long as the first text, 30
    shorter = insert(classifier, pair_batch(), [0], [trigger], longest=5)
    assert shorter.ids.tolist() == made.ids.tolist()  # never shorter than it was
    kept = insert(classifier, pair_batch(3), [1], [(WordPiece(30, 0, 2 / 3),)], longest=5)
    assert kept.ids.tolist() == [[CLS, 20, 21, 22, SEP]]  # the target 22 stays; 30 goes


def test_nothing_inserted_is_the_same_prediction(classifier):
    batch = replace(pair_batch(), target=torch.tensor([0, 0]))
    made = insert(classifier, batch, [0, 1], [(), ()])
    torch.testing.assert_close(classifier.outputs(made)[0], classifier.outputs(batch)[0], rtol=0, atol=0)
    alone = insert(classifier, batch, [1], [(WordPiece(30, 0, 1.0),)])
    padded = insert(classifier, batch, [1, 0], [(WordPiece(30, 0, 1.0),), (WordPiece(30, 1, 1.0),) * 4])
    torch.testing.assert_close(classifier.outputs(alone)[0][0], classifier.outputs(padded)[0][0], rtol=0, atol=1e-12)


def test_a_decoder_reads_the_last_token_of_the_attacked_text(models, batches):
    model = models("gpt2", "label")
    batch = batches(model, [4, 3])
    made = insert(model, batch, [0, 1, 1], [(WordPiece(30, 0, 1.0),), (WordPiece(31, 0, 1.0),), ()])
    assert made.ids[0].tolist() == [*batch.ids[0].tolist(), 30] and made.target.tolist() == [4, 3, 2]
    short = insert(model, batch, [0], [(WordPiece(30, 0, 1 / 4),)], longest=4)
    assert short.target.tolist() == [3] and 30 in short.ids[0].tolist()


def test_an_attacked_text_has_no_counterpart(models, batches):
    model = models()
    batch = batches(model, [6, 4])
    made = insert(model, replace(batch, counterpart=batch.ids), [0, 1], [(WordPiece(30, 0, 1.0),)] * 2)
    assert made.counterpart is None and made.only(made.attention_mask).lengths == [7, 5]
