"""Triggers of an explanation and of the control, against the search written out, and what they cost."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.metrics.edges.conftest import CLS, PAIR, SEP

from flowgauge.core.errors import UsageError
from flowgauge.metrics.edges.trigger_drop import NONE, TriggerDrop
from flowgauge.metrics.edges.trigger_insertion import insert
from flowgauge.metrics.edges.trigger_mining import (
    Trigger,
    TriggerSentence,
    read_trigger,
    strongest_edges,
)
from flowgauge.metrics.heads.head_importance import halves
from flowgauge.models.outputs import correct

SENTENCE = TriggerSentence("x", [CLS, 10, 11, 12, SEP, 13, 14, SEP], PAIR, (("ab", "c"), ("d", "terrible.")))


def read(edges, score="sum", ratio=0.2, avoid=True, sentence=SENTENCE):
    return read_trigger(edges, sentence, score, ratio, avoid)


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
    [
        ({"score_by": "x"}, "score_by must be sum or max"),
        ({"best": 0}, "best must be above 0"),
        ({"ratio": 2.0}, "at most 1"),
    ],
)
def test_refused_settings(settings, message):
    with pytest.raises(UsageError, match=message):
        TriggerDrop(**settings)
