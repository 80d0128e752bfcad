"""Retention and deletion curves."""

from __future__ import annotations

import numpy as np
import pytest

from flowgauge.core.errors import NotApplicable
from flowgauge.methods.explanation import Explanation
from flowgauge.metrics.ablation import ablated_predictions
from flowgauge.metrics.retention_curve import DeletionCurve, RetentionCurve, area, budget_masks
from flowgauge.models.graph import Subgraph


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
        masks = budget_masks(shown.guided[row], n, 2, 4, keep)
        found = ablated_predictions(model, shown.batch, [row] * 4, [Subgraph(m) for m in masks])[:, 0]
        right, same = found == int(shown.batch.answer[row, 0]), found == int(shown.predicted.answer[row, 0])
        assert [value_of(scores, f"budget/{b}", name) for b in (25, 50, 75, 100)] == right.tolist()
        assert value_of(scores, "auc", name) == area(right.astype(float))
        assert value_of(scores, "auc/agreement", name) == area(same.astype(float))
    assert 0 < scores.rows["value"].mean() < 1


def test_everything_kept_is_the_model_and_everything_removed_a_constant(model, shown, value_of):
    right = (shown.predicted.answer == shown.batch.answer).double().mean().item()
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
