"""Retention and deletion curves."""

from __future__ import annotations

import numpy as np
import pytest

from flowgauge.core.errors import NotApplicable
from flowgauge.methods.explanation import Explanation
from flowgauge.metrics.nodes.retention_curve import DeletionCurve, RetentionCurve, budget_masks, head_masks
from flowgauge.metrics.reduced_models.heads import area, pruned_predictions
from flowgauge.metrics.reduced_models.nodes import ablated_predictions
from flowgauge.models.flow.graph import Subgraph


def ranked(n: int, seed: int) -> Explanation:
    return Explanation(nodes=np.random.default_rng(seed).random((4, n)))


@pytest.fixture
def shown(make, model):
    batch = make.batch(model, [6] * 6 + [4] * 3)
    return make.by_hand(model, batch, [ranked(n, r) for r, n in enumerate(batch.lengths)])


def test_budgets_by_hand():
    scores = np.array([[0.1, 0.9, 0.5], [0.7, 0.7, 0.1], [0.0, 0.0, 0.0]])
    kept = budget_masks(Explanation(nodes=scores), 3, 2, 4, keep=True)  # 25, 50, 75, 100 % of 3: 1, 2, 3, 3 nodes
    assert [[np.flatnonzero(row).tolist() for row in step] for step in kept] == [
        [[1], [0], [2]],
        [[1, 2], [0, 1], [2]],
        [[0, 1, 2], [0, 1, 2], [2]],
        [[0, 1, 2], [0, 1, 2], [2]],
    ]
    removed = budget_masks(Explanation(nodes=scores), 3, 2, 4, keep=False)
    assert (removed[:, :2] == ~kept[:, :2]).all() and (removed[:, 2] == kept[:, 2]).all()


def test_the_area_is_a_share():
    assert area(np.ones(20)) == 1.0 and area(np.zeros(20)) == 0.0
    assert area(np.array([0.0, 0.0, 1.0])) == 0.25
    assert area(np.arange(5) / 4) == pytest.approx(np.trapezoid(np.arange(5) / 4, np.arange(5) / 4))


@pytest.mark.parametrize(("metric", "keep"), [(RetentionCurve(steps=4), True), (DeletionCurve(steps=4), False)])
def test_the_curve_is_the_reduced_model(model, shown, value_of, metric, keep):
    scores = metric.score(model, [shown], None)
    assert scores.rows["variant"].drop_duplicates().tolist() == [
        "budget/25",
        "budget/50",
        "budget/75",
        "budget/100",
        "auc",
        "auc/agreement",
    ]
    for row, (name, n) in enumerate(zip(shown.batch.names, shown.batch.lengths, strict=True)):
        masks = budget_masks(shown.predicted[row], n, 2, 4, keep)
        found = ablated_predictions(model, shown.batch, [row] * 4, [Subgraph(m) for m in masks])[:, 0]
        right, same = found == int(shown.batch.answer[row, 0]), found == int(shown.predicted_batch.answer[row, 0])
        assert [value_of(scores, f"budget/{b}", name) for b in (25, 50, 75, 100)] == right.tolist()
        assert value_of(scores, "auc", name) == area(right.astype(float))
        assert value_of(scores, "auc/agreement", name) == area(same.astype(float))
    assert 0 < scores.rows["value"].mean() < 1


def test_everything_kept_is_the_model_and_everything_removed_a_constant(model, shown, value_of):
    right = (shown.predicted_batch.answer == shown.batch.answer).double().mean().item()
    assert 0 < right < 1
    assert value_of(RetentionCurve().score(model, [shown], None), "budget/100") == right
    ends = DeletionCurve().score(model, [shown], None).rows
    last = ends[ends["variant"] == "budget/100"]["value"].tolist()
    assert last in ([1, 0, 1, 0, 1, 0, 1, 0, 1], [0, 1, 0, 1, 0, 1, 0, 1, 0])  # the answers alternate


def test_the_guide_chooses_the_explanation(make, model, shown, value_of):
    other = [ranked(n, 100 + r) for r, n in enumerate(shown.batch.lengths)]
    both = make.by_hand(model, shown.batch, shown.gold, other)
    gold, predicted = (
        RetentionCurve(steps=5, guide=g).score(model, [both], None).rows["value"].tolist() for g in ("gold", "predicted")
    )
    assert gold == RetentionCurve(steps=5).score(model, [shown], None).rows["value"].tolist() != predicted


def test_draws(make, model):
    shown = make.by_method(model, make.batch(model, [5, 5]), "random:draws=3")
    rows = RetentionCurve(steps=2).score(model, [shown], None).rows
    assert rows[rows["variant"] == "auc"]["draw"].tolist() == [0, 1, 2, 0, 1, 2]


def test_tokens_alone_cannot_be_scored(make, model):
    batch = make.batch(model, [5])
    shown = make.by_hand(model, batch, [Explanation(tokens=np.ones(5))])
    with pytest.raises(NotApplicable, match="the method gives tokens, from which nodes cannot be ranked"):
        RetentionCurve().score(model, [shown], None)


def test_selection_is_signed_or_absolute():
    scores = np.array([[1.0, -3.0, 2.0], [0.0, 0.0, 0.0]])
    signed, absolute = (
        [budget_masks(Explanation(nodes=sign * scores), 3, 2, 3, True, select)[0, 0].tolist() for sign in (1, -1)]
        for select in ("signed", "absolute")
    )
    assert signed == [[False, False, True], [False, True, False]]
    assert absolute == [[False, True, False]] * 2


def test_signed_flows_are_those_of_the_words_that_help():
    flows = np.zeros((3, 2, 3))
    flows[0, 0, 1], flows[1, 0, 0] = 1.0, 2.0  # in the direction of each word's g
    one = Explanation(tokens=np.array([0.5, -0.5, 0.0]), flows=flows)
    assert budget_masks(one, 3, 2, 3, True, "signed")[0, 0].tolist() == [False, True, False]
    assert budget_masks(one, 3, 2, 3, True, "absolute")[0, 0].tolist() == [True, False, False]


def test_head_budgets_by_hand():
    score = np.array([[0.5, 0.1, 0.5], [0.9, -2.0, 0.0]])
    left = lambda **how: [np.flatnonzero(step).tolist() for step in head_masks(score, 4, **how)]  # noqa: E731
    assert left(keep=True) == [[0, 3], [0, 2, 3], [0, 1, 2, 3, 5], [0, 1, 2, 3, 4, 5]]
    assert left(keep=False) == [[1, 2, 4, 5], [1, 4, 5], [4], []]
    assert left(keep=True, select="absolute")[0] == [3, 4]


@pytest.mark.parametrize(("metric", "keep"), [(RetentionCurve(steps=4), True), (DeletionCurve(steps=4), False)])
def test_heads_alone_have_a_curve_of_heads(make, model, value_of, metric, keep):
    batch = make.batch(model, [6, 6, 5, 4])
    heads = np.random.default_rng(0).random((4, 3, 4))
    shown = make.by_hand(model, batch, [Explanation(heads=h) for h in heads])
    scores = metric.score(model, [shown], None)
    for row, name in enumerate(batch.names):
        found = pruned_predictions(model, batch, [row], head_masks(heads[row], 4, keep)[None])[0, :, 0]
        right, same = found == int(batch.answer[row, 0]), found == int(shown.predicted_batch.answer[row, 0])
        assert [value_of(scores, f"heads/budget/{b}", name) for b in (25, 50, 75, 100)] == right.tolist()
        assert value_of(scores, "heads/auc", name) == area(right.astype(float))
        assert value_of(scores, "heads/auc/agreement", name) == area(same.astype(float))
    undefined = scores.rows[scores.rows["variant"] == "auc"]
    assert undefined["value"].isna().all()
    assert set(undefined["reason"]) == {"the method gives heads, from which nodes cannot be ranked. See heads/auc."}
    assert value_of(RetentionCurve().score(model, [shown], None), "heads/budget/100") == (
        (shown.predicted_batch.answer == batch.answer).double().mean().item()
    )


def test_nodes_and_heads_have_both_curves(make, model):
    batch = make.batch(model, [6, 5])
    edges = np.random.default_rng(0).random((3, 4, 6, 6))
    both = make.by_hand(model, batch, [Explanation(edges=edges), Explanation(edges=edges[:, :, :5, :5])])
    variants = set(RetentionCurve(steps=2).score(model, [both], None).rows["variant"])
    assert {"auc", "heads/auc", "budget/50", "heads/budget/50"} <= variants
    together = make.by_hand(model, batch, [Explanation(edges=e.edges.mean(1, keepdims=True)) for e in both.gold])
    assert not any(v.startswith("heads") for v in RetentionCurve(steps=2).score(model, [together], None).rows["variant"])


@pytest.mark.parametrize(
    ("views", "nodes", "heads"),
    [
        ({"heads": np.ones((3, 4))}, False, True),
        ({"edges": np.ones((3, 4, 5, 5))}, True, True),
        ({"edges": np.ones((3, 1, 5, 5))}, True, False),
        ({"nodes": np.ones((4, 5))}, True, False),
        ({"mask": np.ones((5, 5))}, True, False),
        ({"flows": np.ones((5, 4, 5))}, True, False),
        ({"units": np.ones((3, 5, 5))}, False, True),
    ],
)
def test_every_view_has_a_value_or_a_reason(make, model, views, nodes, heads):
    shown = make.by_hand(model, make.batch(model, [5, 5]), [Explanation(**views)] * 2)
    for metric in (RetentionCurve(steps=2), DeletionCurve(steps=2)):
        means = metric.score(model, [shown], None).rows.groupby("variant")["value"].mean()
        assert (means.get("auc", np.nan) >= 0) == nodes
        assert (means.get("heads/auc", np.nan) >= 0) == heads
