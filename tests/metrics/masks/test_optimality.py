"""Optimality against sets written by hand, and against exact search itself."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from flowgauge.core.errors import NotApplicable, UsageError
from flowgauge.methods.explanation import Explanation
from flowgauge.methods.perturbation.exact_erasure import ExactErasure
from flowgauge.methods.registry import METHODS
from flowgauge.metrics.masks.optimality import Optimality, of_mask
from flowgauge.metrics.registry import METRICS

SETS = np.array([[1, 1, 0, 0, 0, 0], [1, 0, 1, 0, 0, 0], [0, 0, 0, 0, 1, 1]], bool)


def masked(words, depths=5, **more) -> Explanation:
    rows = np.zeros((depths, len(words)))
    rows[0] = words
    return Explanation(mask=rows, **more)


def shown_of(make, model, batch, explanation, sets=SETS):
    mask, margin = np.repeat(sets[:1].astype(float), 5, 0), {"margin": 0.1}
    reference = Explanation(mask=mask, sets=sets, tokens=sets.mean(0), values=margin)
    one = batch.rows(batch.ids.new_tensor([0]))
    return make.by_hand(model, one, [explanation]), make.by_hand(model, one, [reference])


def scores_of(make, model, batch, explanation, sets=SETS):
    shown, reference = shown_of(make, model, batch, explanation, sets)
    rows = Optimality().score(model, [shown], [reference]).rows
    return dict(zip(rows["variant"], rows["value"], strict=True)), dict(zip(rows["variant"], rows["reason"], strict=True))


def test_against_the_closest_and_the_mean_of_the_sets(make, model, batch):
    found, _ = scores_of(make, model, batch, masked([0.9, 0.1, 0.8, 0.7, 0.5, 0.2]))  # keeps 0, 2, 3; 0.5 is not above 1/2
    assert found["precision"] == pytest.approx(2 / 3) and found["recall"] == 1 and found["f1"] == pytest.approx(0.8)
    assert found["mean/precision"] == pytest.approx((1 / 3 + 2 / 3 + 0) / 3)
    assert found["mean/recall"] == pytest.approx((1 / 2 + 1 + 0) / 3) and found["mean/f1"] == pytest.approx((0.4 + 0.8 + 0) / 3)
    assert found["optimal"] == 0 and found["l0"] == 0.5 and found["size"] == 2 and found["none_needed"] == 0
    found, _ = scores_of(make, model, batch, masked([0, 0, 0, 0, 1, 1.0]))
    assert found["optimal"] == found["f1"] == 1 and found["mean/f1"] == pytest.approx(1 / 3)


def test_masks_of_words_at_every_depth_are_read_at_the_last(make, model, batch):
    rows = np.ones((5, 6))
    rows[-1] = SETS[0]
    for fill, l0 in ((np.zeros((1, 16)), 1 / 3), (np.zeros((5, 16)), 1.0), (None, 1.0)):
        found, _ = scores_of(make, model, batch, Explanation(mask=rows, fill=fill))
        assert found["l0"] == pytest.approx(l0) and found["optimal"] == (l0 < 1)


def test_token_scores_are_cut_at_the_size_of_the_sets(make, model, batch):
    found, why = scores_of(make, model, batch, Explanation(tokens=np.array([3.0, 1, 2, 0, -5, 1])))
    assert found["top/f1"] == found["top/optimal"] == 1
    assert np.isnan(found["f1"]) and why["f1"] == "the method gives no mask."
    found, _ = scores_of(make, model, batch, Explanation(tokens=np.array([0.0, 1, 2, 0, -5, 1])))  # 2, then 1 before 5
    assert found["top/f1"] == 0.5 and found["top/optimal"] == 0
    _, why = scores_of(make, model, batch, masked([1.0] * 6))
    assert why["top/f1"] == "the method gives no token scores."


def test_where_no_word_is_needed(make, model, batch):
    none = np.zeros((1, 6), bool)
    found, why = scores_of(make, model, batch, masked([0.0] * 6, tokens=np.ones(6)), none)
    assert found["f1"] == found["precision"] == found["recall"] == found["optimal"] == found["none_needed"] == 1
    assert why["top/f1"] == "no word is needed." and found["l0"] == 0
    found, _ = scores_of(make, model, batch, masked([1.0, 0, 0, 0, 0, 0]), none)
    assert (found["f1"], found["precision"], found["recall"], found["optimal"]) == (0, 0, 1, 0)
    empty = of_mask(np.zeros(6, bool), SETS)
    assert (empty["f1"], empty["precision"], empty["recall"]) == (0, 0, 0)


def test_words_that_cannot_be_masked_do_not_count(make, model, batch, monkeypatch):
    monkeypatch.setattr(type(model), "maskable", lambda self, batch: batch.attention_mask & (batch.ids.new_ones(6).cumsum(0) > 2))
    sets = np.array([[0, 0, 1, 0, 0, 0]], bool)
    found, _ = scores_of(make, model, batch, masked([1.0, 1, 1, 0, 0, 0], tokens=np.array([9.0, 8, 1, 0, 0, 0])), sets)
    assert found["f1"] == found["optimal"] == found["top/f1"] == 1 and found["l0"] == 0.25


def test_exact_erasure_is_optimal_and_draws_are_scored_each(make, model, batch):
    method = ExactErasure()
    wide = replace(batch, pairwise=False, cache={})
    made = method.explain(model, wide)
    exact = make.by_hand(model, wide, made)
    rows = Optimality().score(model, [exact], [exact]).rows
    means = rows.groupby("variant")["value"].mean()
    assert means["optimal"] == means["f1"] == means["precision"] == means["recall"] == 1
    assert means["l0"] == pytest.approx(np.mean([e.values["size"] / n for e, n in zip(made, wide.lengths, strict=True)]))
    drawn = [Explanation(draws=(e, masked([1.0] * n))) for e, n in zip(made, wide.lengths, strict=True)]
    rows = Optimality().score(model, [make.by_hand(model, wide, drawn)], [exact]).rows
    l0 = rows[rows["variant"] == "l0"].groupby("draw")["value"].mean()
    assert l0[1] == 1 and l0[0] == pytest.approx(means["l0"])


def test_without_sets_there_is_a_reason(make, model, batch):
    shown, _ = shown_of(make, model, batch, masked([1.0] * 6))
    with pytest.raises(NotApplicable, match="exact-erasure, which has not explained"):
        Optimality().score(model, [shown], None)
    with pytest.raises(NotApplicable, match="hold no sets"):
        Optimality().score(model, [shown], [shown])


@pytest.fixture
def exact(make, model, batch):
    """The batch with its smallest sets by a criterion, explained by hand."""
    wide = replace(batch, pairwise=False, cache={})
    return lambda **settings: make.by_hand(model, wide, ExactErasure(**settings).explain(model, wide))


def test_masks_of_another_margin_or_criterion_are_refused_and_never_scored(make, model, exact):
    near, far, by_class = exact(margin=0.1), exact(margin=0.5), exact(criterion="prediction")
    with pytest.raises(NotApplicable, match=r"may cost 0.5 nats, .* those of 0.1: score it by optimality:margin=0.5"):
        Optimality().score(model, [far], [near])
    with pytest.raises(
        NotApplicable, match=r"keeps the prediction and has no margin: score it by optimality:criterion=prediction"
    ):
        Optimality().score(model, [by_class], [near])
    for metric, wrong in (
        (Optimality(), far), (Optimality(), by_class), (Optimality(margin=0.5), near), (Optimality("prediction"), near)
    ):  # fmt: skip
        with pytest.raises(NotApplicable, match=f"the stored sets are not those of {metric.reference}: run it too"):
            metric.score(model, [near], [wrong])
    for metric, right in ((Optimality(margin=0.5), far), (Optimality("prediction"), by_class)):
        rows = metric.score(model, [right], [right]).rows
        assert rows[rows["variant"] == "optimal"]["value"].eq(1).all()


def test_by_prediction_a_mask_of_any_margin_is_scored(model, exact):
    by_class = exact(criterion="prediction")
    rows = Optimality("prediction").score(model, [exact(margin=1e-9)], [by_class]).rows
    means = rows.groupby("variant")["value"].mean()
    assert means["l0"] == 1 and means["recall"] == 1 and means["optimal"] < 1


def test_the_reference_has_the_criterion_and_the_margin_of_the_metric():
    assert Optimality().reference == "exact-erasure" and Optimality(margin=0.05).reference == "exact-erasure:margin=0.05"
    assert METHODS.create(Optimality(margin=1e-5).reference) == ExactErasure(margin=1e-5)
    assert METHODS.create(Optimality("prediction").reference) == ExactErasure("prediction")
    assert METHODS.create("exact-erasure").margin == METRICS.create("optimality").margin
    with pytest.raises(UsageError, match="margin must be above 0, got 0"):
        Optimality(margin=0.0)


def test_a_margin_that_was_stored_in_float32_is_that_margin(model, exact):
    """Masks that are trained state theirs so."""
    near = exact(margin=float(np.float32(0.1)))
    assert Optimality().score(model, [near], [exact(margin=0.1)]).rows["value"].notna().any()
