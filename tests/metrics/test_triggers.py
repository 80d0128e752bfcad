"""Adversarial triggers: reading, insertion and scoring, each by hand."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from flowgauge.core.errors import NotApplicable, UsageError
from flowgauge.methods.explanation import Explanation
from flowgauge.metrics.edges.trigger_drop import NONE, TriggerDrop
from flowgauge.metrics.edges.trigger_insertion import insert, places
from flowgauge.metrics.edges.trigger_mining import (
    Trigger,
    TriggerSentence,
    WordPiece,
    has_sentiment,
    read_trigger,
    strongest_edges,
)
from flowgauge.metrics.heads.head_importance import halves
from flowgauge.models.batch import Batch
from flowgauge.models.outputs import correct
from flowgauge.tasks.instance import Instance

CLS, SEP = 2, 3
PAIR = [(-1, -1), (0, 0), (0, 0), (0, 1), (-1, -1), (1, 0), (1, 1), (-1, -1)]  # [CLS] a ##b c [SEP] d e [SEP]
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


@pytest.fixture(scope="session")
def classifier(make):
    """Three classes; its tokenizer names tokens by their ids."""
    made = make.model(head="label", type_vocab_size=2)
    drawn = make.batch(made, [8] * 40, seed=9, pairwise=False)
    drawn.ids[:, 0] = CLS
    with torch.no_grad():
        made.hf.classifier.bias -= made.outputs(drawn)[0].mean(0)  # so that words decide between the classes
    made.tokenizer = SimpleNamespace(mask_token_id=4, pad_token_id=0, convert_ids_to_tokens=lambda ids: [f"t{i}" for i in ids])
    return made


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


@pytest.fixture
def shown(make, classifier):
    batch = make.batch(classifier, [8] * 8 + [6] * 8, pairwise=False)
    batch.ids[:, 0] = CLS  # as everywhere, so that the prediction hangs on the words
    edges = [np.random.default_rng(row).random((3, 4, n, n)) for row, n in enumerate(batch.lengths)]
    predicted = classifier.outputs(batch)[0].argmax(1)
    wrong = (predicted + 1 + torch.arange(16) % 2) % 3
    answer = torch.where(torch.arange(16) % 4 == 0, wrong, predicted)[:, None]  # three quarters are right
    batch = replace(batch, answer=answer, cache={})
    found = make.by_hand(classifier, batch, [Explanation(edges=e) for e in edges])
    instances = tuple(
        Instance(i.id, (" ".join(f"w{n}" for n in range(size - 2)),), (f"c{int(a)}",))
        for i, size, a in zip(found.instances, batch.lengths, answer[:, 0], strict=True)
    )
    return replace(found, instances=instances)


def literally(model, shown, candidates: int, best: int) -> dict[str, list[float]]:
    """What each instance loses, the slow way: one sentence at a time."""
    names, classes = [i.id for i in shown.instances], [i.answer[0] for i in shown.instances]
    half = halves(names, classes, 0)

    def loses(row: int, trigger: Trigger) -> float:
        before = shown.batch.rows(torch.tensor([row]))
        after = insert(model, shown.batch, [row], [trigger.pieces])
        return float(correct(model.outputs(before), before)) - float(correct(model.outputs(after), after))

    triggers = []
    for row, explanation in enumerate(shown.predicted):
        real = shown.batch.attention_mask[row]
        words = [(s, w) for s, w in shown.batch.word_ids[row][real].tolist()]
        texts = tuple(tuple(t.split()) for t in shown.instances[row].segments)
        triggers.append(
            read(strongest_edges(explanation), sentence=TriggerSentence("", shown.batch.ids[row][real].tolist(), words, texts))
        )
    found = {}
    for row, name in enumerate(names):
        others = [r for r in range(len(names)) if half[r] != half[row]]
        tried = sorted((triggers[r] for r in others if triggers[r]), key=lambda t: (-t.score, t.pieces))[:candidates]
        alike = [r for r in others if classes[r] == classes[row]]
        hurt = sorted(tried, key=lambda t: -np.mean([loses(r, t) for r in alike]))[:best] if alike else []
        found[name] = [loses(row, t) for t in hurt]
    return found


def test_scores_are_those_of_the_slow_way(classifier, shown, value_of):
    scores = TriggerDrop(candidates=4, best=2).score(classifier, [shown], None)
    expected = literally(classifier, shown, 4, 2)
    for instance in shown.instances:
        costs, group = expected[instance.id], f"class/{instance.answer[0]}"
        assert value_of(scores, "drop", instance.id) == value_of(scores, f"{group}/drop", instance.id) == np.mean(costs)
        assert [value_of(scores, f"{group}/trigger/{n}", instance.id) for n in (1, 2)] == costs
    assert {v for costs in expected.values() for v in costs} == {-1.0, 0.0, 1.0}
    found = scores.rows[scores.rows["variant"].str.startswith("found/")]["variant"]
    assert found.str.match(r"found/c\d/[ab][12] \{t\d+(, t\d+){0,3}\}").all()
    right = (shown.predicted_batch.answer == shown.batch.answer).double().mean().item()
    assert scores.rows[scores.rows["variant"].str.endswith("/original")]["value"].mean() == right == 0.75


def test_the_control_is_another_search(classifier, shown, value_of):
    one, other = (TriggerDrop(candidates=4, seed=seed).score(classifier, [shown], None).rows for seed in (0, 0))
    assert one.equals(other)
    control = one[one["variant"] == "control/drop"]["value"]
    assert not control.isna().any() and control.tolist() != one[one["variant"] == "drop"]["value"].tolist()


def test_batches_and_order_do_not_matter(classifier, shown):
    metric = TriggerDrop(candidates=3)
    whole = metric.score(classifier, [shown], None).rows
    parts = [
        replace(
            shown,
            batch=shown.batch.rows(torch.tensor(rows)),
            predicted_batch=shown.predicted_batch.rows(torch.tensor(rows)),
            instances=tuple(shown.instances[r] for r in rows),
            gold=tuple(shown.gold[r] for r in rows),
            predicted=tuple(shown.predicted[r] for r in rows),
        )
        for rows in ([5, 3, 1], list(range(15, 7, -1)), [0, 2, 4, 6, 7])
    ]
    keys = ["instance", "variant"]
    again = metric.score(classifier, parts, None).rows
    assert whole.sort_values(keys).reset_index(drop=True).equals(again.sort_values(keys).reset_index(drop=True))


def test_no_trigger_has_a_reason(classifier, shown):
    rows = TriggerDrop(least=100.0).score(classifier, [shown], None).rows
    mine = rows[rows["variant"] == "drop"]
    assert mine["value"].isna().all() and set(mine["reason"]) == {NONE}
    assert not rows[rows["variant"] == "control/drop"]["value"].isna().any()
    short = TriggerDrop(shortest=7).score(classifier, [shown], None).rows
    assert not short.equals(TriggerDrop().score(classifier, [shown], None).rows)


@pytest.mark.parametrize(
    ("settings", "message"),
    [({"score_by": "x"}, "must be one of sum, max"), ({"best": 0}, "at least 1 trigger"), ({"ratio": 2.0}, "ratio must lie in")],
)
def test_refused_settings(settings, message):
    with pytest.raises(UsageError, match=message):
        TriggerDrop(**settings)
