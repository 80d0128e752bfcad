"""Metrics of masked predictions, against states masked by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from sklearn.metrics import f1_score

from flowgauge.core.errors import NotApplicable, UsageError
from flowgauge.methods.explanation import Explanation
from flowgauge.metrics.masks.masked_predictions import MaskedAccuracy, MaskedDivergence, MaskedF1, ShareMasked, counts, macro_f1
from flowgauge.metrics.statistics.intervals import jackknife_intervals
from flowgauge.models.interventions.states import blend, clean_states, outputs_from
from flowgauge.models.outputs import divergence, prediction

DEPTHS = 5


@pytest.fixture
def shown(make):
    """A classifier's batch with random masks, gates and replacing vectors; of words, or of each depth."""

    def build(at_words: bool = False, **changes):
        model = make.model("label")
        batch = make.batch(model, [6, 6, 5, 4, 6, 3], pairwise=False)
        rng = np.random.default_rng(0)
        fill = rng.normal(size=(1 if at_words else DEPTHS, 16))
        masks = [rng.random((DEPTHS, n)) for n in batch.lengths]
        made = [Explanation(**{"mask": m, "gate": m**2, "fill": fill, **changes}) for m in masks]
        return model, make.by_hand(model, batch, made)

    return build


@pytest.mark.parametrize("at_words", [True, False])
def test_divergence_is_that_of_the_states_masked_by_hand(shown, value_of, at_words) -> None:
    model, one = shown(at_words)
    scores, batch = MaskedDivergence().score(model, [one], None), one.batch
    states, clean = clean_states(model, batch), model.outputs(batch)
    for row, (name, made) in enumerate(zip(batch.names, one.gold, strict=True)):
        for depth in range(DEPTHS):
            site = 0 if at_words else depth
            for form, gate in (("hard", made.mask > 0.5), ("expected", made.gate)):
                keep = torch.ones(batch.ids.shape, dtype=torch.float64)
                keep[row, : gate.shape[1]] = torch.from_numpy(gate[depth].astype(float))
                fill = torch.from_numpy(made.fill[site])
                under = outputs_from(model, batch, site, blend(states[site], keep, fill))
                expected = divergence(under, clean)[row].item()
                assert value_of(scores, f"{form}/{depth}", name) == pytest.approx(expected)
        mean = np.mean([value_of(scores, f"hard/{depth}", name) for depth in range(DEPTHS)])
        assert value_of(scores, "hard", name) == pytest.approx(mean)


@pytest.mark.parametrize("operator", ["zero", "mask"])
def test_other_replacements_are_those_by_hand(shown, value_of, operator) -> None:
    model, one = shown(True)
    one = replace(one, gold=(bare := tuple(Explanation(mask=e.mask) for e in one.gold)), predicted=bare)
    scores, batch = MaskedDivergence(operator).score(model, [one], None), one.batch
    blank = replace(batch, ids=torch.where(batch.attention_mask, 4, batch.ids), cache={})
    states, masked = clean_states(model, batch), clean_states(model, blank)
    for depth in range(DEPTHS):
        keep = torch.ones(batch.ids.shape, dtype=torch.float64)
        for row, made in enumerate(one.gold):
            keep[row, : made.mask.shape[1]] = torch.from_numpy(made.mask[depth])
        fill = masked[depth] if operator == "mask" else torch.zeros_like(states[depth])
        under = outputs_from(model, batch, depth, blend(states[depth], keep, fill))
        expected = divergence(under, model.outputs(batch)).mean().item()
        assert value_of(scores, f"expected/{depth}") == pytest.approx(expected)


def test_a_mask_that_keeps_all_changes_nothing(make, value_of) -> None:
    model = make.model("label")
    batch = make.batch(model, [6, 5, 4], pairwise=False)
    one = make.by_hand(model, batch, [Explanation(mask=np.ones((DEPTHS, n)), fill=np.ones((DEPTHS, 16))) for n in batch.lengths])
    assert value_of(MaskedDivergence().score(model, [one], None), "hard") == 0
    accuracy = MaskedAccuracy().score(model, [one], None)
    assert value_of(accuracy, "agreement") == 1
    assert value_of(accuracy, "accuracy") == value_of(accuracy, "clean")
    assert value_of(ShareMasked().score(model, [one], None), "hard") == 0


def test_accuracy_and_f1_are_of_the_masked_predictions(shown, value_of) -> None:
    model, one = shown()
    batch, gold = one.batch, one.batch.answer[:, 0].numpy()
    states = clean_states(model, batch)
    told = []
    for depth in range(DEPTHS):
        keep = torch.ones(batch.ids.shape, dtype=torch.float64)
        for row, made in enumerate(one.gold):
            keep[row, : made.mask.shape[1]] = torch.from_numpy((made.mask[depth] > 0.5).astype(float))
        under = outputs_from(model, batch, depth, blend(states[depth], keep, torch.from_numpy(made.fill[depth])))
        told.append(prediction(under, batch)[:, 0].numpy())
    clean = prediction(model.outputs(batch), batch)[:, 0].numpy()
    scores = MaskedAccuracy().score(model, [one], None)
    assert value_of(scores, "accuracy") == pytest.approx(np.mean([t == gold for t in told]))
    assert value_of(scores, "agreement/2") == pytest.approx(np.mean(told[2] == clean))
    found = {a.variant: a for a in MaskedF1().score(model, [one], None).aggregates}
    each = [f1_score(gold, t, average="macro", zero_division=0) for t in told]
    assert [found[f"f1/{d}"].value for d in range(DEPTHS)] == pytest.approx(each)
    assert found["f1"].value == pytest.approx(np.mean(each))
    assert found["clean"].value == pytest.approx(f1_score(gold, clean, average="macro", zero_division=0))
    assert (
        found["f1"].count == len(batch) and found["f1"].reason == f"an interval needs 64 instances, and there are {len(batch)}."
    )


def test_the_interval_of_macro_f1_covers():
    """Two equal classes and predictions by chance have a macro-F1 of .5."""
    rng, hits = np.random.default_rng(0), 0
    for _ in range(400):
        gold, predicted = rng.integers(0, 2, (2, 64))
        statistic = lambda sums: macro_f1(sums.reshape(*sums.shape[:-1], 1, -1, 3))  # noqa: E731
        f1 = jackknife_intervals(counts(predicted[None], gold), np.zeros(64, int), statistic)
        hits += bool(f1.low[0] <= 0.5 <= f1.high[0])
    assert 0.92 <= hits / 400 <= 0.98


def test_share_masked(shown, value_of) -> None:
    model, one = shown()
    scores = ShareMasked().score(model, [one], None)
    made, name = one.gold[2].mask, one.batch.names[2]
    assert value_of(scores, "hard", name) == pytest.approx((made <= 0.5).mean())
    assert value_of(scores, "expected", name) == pytest.approx(1 - made.mean())
    assert value_of(scores, "words/hard", name) == pytest.approx((made[0] <= 0.5).mean())
    assert value_of(scores, "hidden/expected", name) == pytest.approx(1 - made[1:].mean())


def test_masks_of_words_at_every_depth_drop_words_and_no_hidden_states(shown, value_of) -> None:
    model, one = shown(at_words=True)
    scores = ShareMasked().score(model, [one], None)
    made, name = one.gold[2].mask, one.batch.names[2]
    assert value_of(scores, "hard", name) == pytest.approx((made <= 0.5).mean())
    assert value_of(scores, "words/expected", name) == pytest.approx(1 - made[-1].mean())
    hidden = scores.rows[scores.rows["variant"].str.startswith("hidden/")]
    assert hidden["value"].isna().all() and set(hidden["reason"]) == {"the mask acts on the words at every depth."}


def test_positions_that_stay_do_not_count(shown, value_of, monkeypatch) -> None:
    model, one = shown()
    monkeypatch.setattr(model, "maskable", lambda batch: batch.attention_mask & (torch.arange(batch.ids.shape[1]) != 1))
    made, name = np.delete(one.gold[0].mask, 1, 1), one.batch.names[0]
    assert value_of(ShareMasked().score(model, [one], None), "expected", name) == pytest.approx(1 - made.mean())


def test_metrics_of_a_cell_share_their_runs(shown, monkeypatch) -> None:
    model, one = shown()
    MaskedDivergence().score(model, [one], None)
    monkeypatch.setattr(model, "run", None)
    MaskedAccuracy().score(model, [one], None)
    with pytest.raises(TypeError):
        MaskedAccuracy("zero").score(model, [one], None)


def test_when_masks_do_not_apply(shown) -> None:
    model, one = shown()
    bare = tuple(Explanation(mask=e.mask) for e in one.gold)
    with pytest.raises(NotApplicable, match="use operator=zero or mask"):
        MaskedDivergence().score(model, [replace(one, gold=bare, predicted=bare)], None)
    few = tuple(Explanation(mask=e.mask[:2]) for e in one.gold)
    with pytest.raises(NotApplicable, match="the mask has 2 depths, and the model has 5"):
        ShareMasked().score(model, [replace(one, gold=few, predicted=few)], None)
    none = tuple(Explanation(tokens=e.mask[0]) for e in one.gold)
    with pytest.raises(NotApplicable, match="the method gives tokens"):
        ShareMasked().score(model, [replace(one, gold=none, predicted=none)], None)
    with pytest.raises(UsageError, match="operator must be own, zero or mask, got 'blank'"):
        MaskedF1("blank")  # type: ignore[arg-type]
