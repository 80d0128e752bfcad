"""Head pruning: the curve against the pruned model, and with controls."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.metrics.reduced_models.test_heads import HEADS, LAYERS, literally

from flowgauge.core.errors import NotApplicable, UsageError
from flowgauge.methods.explanation import Explanation
from flowgauge.metrics.heads.head_importance import draws_of_heads, first_by_id, halves
from flowgauge.metrics.heads.head_pruning import HeadPruning, LayerHeadPruning
from flowgauge.metrics.reduced_models.heads import area, kept_heads, pruned_predictions
from flowgauge.metrics.reduced_models.nodes import clean_predictions


def by_heads(count: int, seed: int = 0) -> list[Explanation]:
    drawn = np.random.default_rng(seed).random((count, LAYERS, HEADS))
    return [Explanation(heads=heads) for heads in drawn]


@pytest.fixture
def shown(make, model):
    batch = make.batch(model, [6, 6, 6, 5, 5, 4, 4, 4])
    return make.by_hand(model, batch, by_heads(8), by_heads(8, seed=1))


def test_the_curve_is_the_pruned_model_ranked_by_the_other_half(model, shown, value_of):
    scores = HeadPruning(steps=4).score(model, [shown], None)
    names, conditions = shown.batch.names, [i.condition for i in shown.instances]
    half = halves(names, conditions, 0)
    assert sorted(half) == [0] * 4 + [1] * 4
    for row, name in enumerate(names):
        others = [e.heads for e, h in zip(shown.gold, half, strict=True) if h != half[row]]
        for order, most in (("least-first", False), ("most-first", True)):
            kept = kept_heads(np.mean(others, 0), 4, most)
            answers = [int(literally(model, shown.batch, row, k)[[8, 11]].argmax()) for k in kept]
            right = [float((8, 11)[a] == int(shown.batch.answer[row, 0])) for a in answers]
            assert [value_of(scores, f"{order}/{r}", name) for r in (0, 25, 50, 75, 100)] == right
            assert value_of(scores, f"{order}/auc", name) == area(np.array(right))
    assert 0 < scores.rows["value"].mean() < 1


def test_no_rate_is_the_whole_model(model, shown, value_of):
    right = (shown.predicted_batch.answer == shown.batch.answer).double().mean().item()
    assert 0 < right < 1
    scores = HeadPruning().score(model, [shown], None)
    assert value_of(scores, "least-first/0") == value_of(scores, "most-first/0") == right
    layers = LayerHeadPruning().score(model, [shown], None)
    assert {value_of(layers, f"{by}/{o}/0") for by in ("mean", "instance", "oracle") for o in ("least-first", "most-first")} == {
        right
    }


def test_in_each_layer(model, shown, value_of):
    scores = LayerHeadPruning().score(model, [shown], None)
    for by, made in (("instance", shown.predicted), ("oracle", shown.gold)):
        for row, name in enumerate(shown.batch.names):
            kept = kept_heads(made[row].heads, HEADS, most_first=True, per_layer=True)
            found = pruned_predictions(model, shown.batch, [row], kept[None])[0, :, 0]
            right = (found == int(shown.batch.answer[row, 0])).tolist()
            assert [value_of(scores, f"{by}/most-first/{k}", name) for k in range(HEADS + 1)] == right
    assert not scores.rows["value"].isna().any()


def test_uniform_scores_say_nothing_and_an_informed_ranking_does(model, make, value_of):
    batch = make.batch(model, [6] * 6 + [5] * 6)
    flat = make.by_hand(model, batch, [Explanation(heads=np.ones((LAYERS, HEADS)))] * 12)
    scores = HeadPruning().score(model, [flat], None)
    assert set(scores.rows[scores.rows["variant"] == "gap"]["value"]) == {0.0}
    alone = np.array([[changed(model, batch, at, h) for h in range(HEADS)] for at in range(LAYERS)])
    informed = make.by_hand(model, batch, [Explanation(heads=alone)] * 12)
    scores = HeadPruning().score(model, [informed], None)
    assert value_of(scores, "least-first/auc/agreement") > value_of(scores, "most-first/auc/agreement")


def changed(model, batch, layer: int, head: int) -> float:
    """How often a head's removal changes the prediction."""
    kept = np.ones((len(batch), 1, LAYERS, HEADS), bool)
    kept[:, :, layer, head] = False
    found = pruned_predictions(model, batch, range(len(batch)), kept)[:, 0]
    return float((found != clean_predictions(model, batch)).mean())


def test_leak_ranks_by_the_first_for_all(model, make, value_of):
    batch = make.batch(model, [5] * 4)
    same = by_heads(1)[0]
    shown = make.by_hand(model, batch, [same, *by_heads(3, seed=5)])
    scores = HeadPruning(leak=True, first=1, steps=3).score(model, [shown], None)
    own = make.by_hand(model, batch, [same] * 4)
    assert scores.rows.equals(HeadPruning(steps=3).score(model, [own], None).rows)
    assert not scores.rows.equals(HeadPruning(steps=3).score(model, [shown], None).rows)
    assert first_by_id(["x/10", "x/9", "w/11", "x/09b"], 3) == [2, 1, 3]


def test_batches_and_order_do_not_matter(model, make):
    batch = make.batch(model, [6, 6, 5, 4])
    made = by_heads(4)
    whole = HeadPruning(steps=3).score(model, [make.by_hand(model, batch, made)], None).rows
    parts = []
    for index in ([2], [3, 0], [1]):
        part = batch.rows(torch.tensor(index))
        found = make.by_hand(model, part, [made[i] for i in index])
        parts.append(replace(found, instances=tuple(make.instances(batch)[i] for i in index)))
    again = HeadPruning(steps=3).score(model, parts, None).rows
    keys = ["instance", "variant", "draw"]
    assert whole.sort_values(keys).reset_index(drop=True).equals(again.sort_values(keys).reset_index(drop=True))


def test_draws_are_ranked_apart_and_random_is_a_control(model, make, value_of):
    shown = make.by_method(model, make.batch(model, [5, 5, 4, 4]), "random:draws=3")
    scores = HeadPruning(steps=2).score(model, [shown], None)
    assert scores.rows[scores.rows["variant"] == "gap"]["draw"].tolist() == [0, 1, 2] * 4
    units = shown.gold[0].each()[1].units
    assert (draws_of_heads(shown.gold)[0, 1] == units[:, :, :HEADS].max(1)).all()


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"tokens": np.ones(5)}, "gives tokens, from which heads cannot be ranked"),
        ({"edges": np.ones((LAYERS, 1, 5, 5))}, "edges for all heads together"),
    ],
)
@pytest.mark.parametrize("metric", [HeadPruning(), LayerHeadPruning()])
def test_without_heads_it_is_not_applicable(model, make, given, reason, metric):
    shown = make.by_hand(model, make.batch(model, [5, 5]), [Explanation(**given)] * 2)
    with pytest.raises(NotApplicable, match=reason):
        metric.score(model, [shown], None)


def test_edges_of_heads_rank_by_their_largest(model, make):
    edges = np.random.default_rng(0).random((4, LAYERS, HEADS, 5, 5))
    batch = make.batch(model, [5] * 4)
    shown = make.by_hand(model, batch, [Explanation(edges=e) for e in edges])
    heads = make.by_hand(model, batch, [Explanation(heads=e.max((2, 3))) for e in edges])
    assert HeadPruning().score(model, [shown], None).rows.equals(HeadPruning().score(model, [heads], None).rows)


def test_refusals(model, make):
    with pytest.raises(NotApplicable, match="there is only one instance"):
        HeadPruning().score(model, [make.by_hand(model, make.batch(model, [5]), by_heads(1))], None)
    with pytest.raises(UsageError, match="steps must be at least 2, got 1"):
        HeadPruning(steps=1)
    with pytest.raises(UsageError, match="first must be above 0, got 0"):
        LayerHeadPruning(first=0)
    uneven = [Explanation(draws=(by_heads(1)[0],) * 2), by_heads(1)[0]]
    with pytest.raises(NotApplicable, match="different numbers of draws"):
        draws_of_heads(uneven)
