"""Metrics of token scores, on hand-made scores and worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from flowgauge.core.errors import NotApplicable, UsageError
from flowgauge.methods.explanation import Explanation
from flowgauge.methods.removal import LeaveOneOut, ShapleySampling
from flowgauge.metrics.captum_metrics import Infidelity, Sensitivity
from flowgauge.metrics.erasure import (
    SHARES,
    Comprehensiveness,
    Sufficiency,
    clean_probability,
    kept_words,
    probabilities,
    removable,
)
from flowgauge.metrics.loo_correlation import LooCorrelation
from flowgauge.metrics.plausibility import Plausibility, agreement, direction, word_scores
from flowgauge.tasks.instance import Instance


def tokens(*rows) -> list[Explanation]:
    return [Explanation(tokens=np.array(row, float)) for row in rows]


def test_only_keeps_and_moves_along(model, make):
    batch = make.batch(model, [6, 5])
    keep = torch.tensor([[1, 0, 1, 1, 0, 1], [1, 1, 1, 0, 1, 1]], dtype=torch.bool)
    left = batch.only(keep)
    assert left.lengths == [4, 4] and left.target.tolist() == [1, 2]
    assert left.ids.tolist() == [batch.ids[0][[0, 2, 3, 5]].tolist(), batch.ids[1][[0, 1, 2, 4]].tolist()]
    assert left.word_ids[0, :, 1].tolist() == batch.word_ids[0][[0, 2, 3, 5], 1].tolist()
    with pytest.raises(ValueError, match="must hold every target"):
        batch.only(keep & (torch.arange(6) != 2))


def test_what_can_be_removed_are_words(model, make):
    batch = make.batch(model, [6, 4])  # [CLS] w w w w [SEP], the target at 2
    assert removable(batch).tolist() == [[False, True, False, True, True, False], [False, True, False, False, False, False]]


def test_shares_are_rounded_up_and_ties_go_to_lower_positions():
    candidates = np.array([False, *[True] * 9, False])
    scores = np.array([9.0, 1, 1, 3, 1, 1, 1, 1, 1, 2, 9.0])
    left = kept_words(scores, candidates, keep=False)
    assert [np.flatnonzero(~row).tolist() for row in left] == [[3], [3], [3], [3, 9], [1, 2, 3, 4, 9]]
    assert (kept_words(scores, candidates, keep=True)[:, [0, 10]]).all()
    assert ((kept_words(scores, candidates, keep=True) ^ left)[:, 1:10]).all()


@pytest.mark.parametrize("operator", ["delete", "mask"])
@pytest.mark.parametrize(("metric", "keep"), [(Comprehensiveness, False), (Sufficiency, True)])
def test_erasure_is_the_models_probability_on_shorter_sentences(model, make, value_of, metric, keep, operator):
    batch = make.batch(model, [7, 5])
    shown = make.by_hand(model, batch, tokens([0, 3, 0, 1, 2, 4, 0], [0, 1, 0, 2, 0]))
    scores = metric(operator).score(model, [shown], None)
    for row, name in reversed(list(enumerate(batch.names))):
        alone = shown.predicted.rows(torch.tensor([row]))
        whole, drops = clean_probability(model, alone)[0], []
        for left in kept_words(shown.guided[row].tokens, removable(alone)[0].numpy(), keep):
            stay = torch.from_numpy(left)[None]
            ids = torch.where(stay, alone.ids, model.tokenizer.mask_token_id)
            part = alone.only(stay) if operator == "delete" else replace(alone, ids=ids, cache={})
            drops.append(whole - clean_probability(model, part)[0])
        assert [value_of(scores, f"top/{k}", name) for k in SHARES] == pytest.approx(drops, abs=1e-12)
        assert value_of(scores, "aopc", name) == pytest.approx(np.mean(drops), abs=1e-12)
    assert len({round(d, 9) for d in drops}) > 1


def test_a_ranking_by_single_removals_beats_its_reverse(model, make):
    batch = make.batch(model, [8] * 6, seed=3)
    shown = make.by_hand(model, batch, tokens(*[[0.0] * 8] * 6))
    words = removable(shown.predicted).numpy()
    falls = np.zeros(words.shape)
    for at in range(8):
        left = np.ones_like(words)
        left[:, at] = ~words[:, at]
        falls[:, at] = clean_probability(model, shown.predicted) - probabilities(model, shown.predicted, range(6), left, "delete")
    good, bad = (make.by_hand(model, batch, tokens(*(sign * falls))) for sign in (1, -1))
    top = [Comprehensiveness().score(model, [s], None).rows.query("variant == 'top/1'")["value"].to_numpy() for s in (good, bad)]
    assert (top[0] >= top[1]).all() and (top[0] > top[1]).any()


def test_sentences_without_removable_words_are_undefined(model, make):
    batch = make.batch(model, [3])
    batch = replace(batch, word_ids=torch.full_like(batch.word_ids, -1))
    rows = Comprehensiveness().score(model, [make.by_hand(model, batch, tokens([1, 1, 1]))], None).rows
    assert rows["value"].isna().all() and set(rows["reason"]) == {"it has no word that can be removed."}


def test_the_probability_of_pairs_is_of_the_two(model, make):
    batch = make.batch(model, [5, 6])
    with torch.no_grad():
        q = (model.outputs(batch)[0].gather(1, batch.answer) - model.outputs(batch)[0].gather(1, batch.against))[:, 0]
    assert clean_probability(model, batch) == pytest.approx(q.sigmoid().numpy())
    whole = model.outputs(batch)[0].softmax(1).gather(1, batch.answer)[:, 0].detach().numpy()
    assert clean_probability(model, replace(batch, pairwise=False)) == pytest.approx(whole)


def test_loo_correlation(model, make, value_of):
    batch = make.batch(model, [6, 5])
    shown = make.by_hand(model, batch, tokens([0] * 6, [0] * 5))
    left_out = [e.tokens for e in LeaveOneOut().explain(model, shown.predicted)]
    for scale, signed, absolute in ((1.0, 1.0, 1.0), (-2.0, -1.0, 1.0)):
        scores = LooCorrelation().score(model, [make.by_hand(model, batch, tokens(*(scale * t for t in left_out)))], None)
        assert value_of(scores, "signed") == pytest.approx(signed) and value_of(scores, "absolute") == pytest.approx(absolute)
    flat = LooCorrelation().score(model, [shown], None).rows
    assert flat["value"].isna().all() and set(flat["reason"]) == {"the token scores are all the same."}


def test_infidelity_is_the_mean_squared_miss(model, make, value_of):
    """Shapley values miss less than their negatives; the scaled variant does not mind the scale."""
    batch = make.batch(model, [5, 6])
    relabelled = make.by_hand(model, batch, tokens([0] * 5, [0] * 6)).predicted
    exact = [e.tokens for e in ShapleySampling(200).explain(model, relabelled)]
    found = {}
    for scale in (1.0, 10.0, -1.0):
        scores = Infidelity(200).score(model, [make.by_hand(model, batch, tokens(*(scale * t for t in exact)))], None)
        found[scale] = value_of(scores, "raw"), value_of(scores, "scaled")
    assert found[1.0][0] < found[-1.0][0] and found[1.0][0] < found[10.0][0]
    assert found[10.0][1] == pytest.approx(found[1.0][1])
    nothing = Infidelity(4).score(model, [make.by_hand(model, batch, tokens([0] * 5, [0] * 6))], None)
    assert value_of(nothing, "scaled") == value_of(nothing, "raw") > found[1.0][1]


def test_sensitivity_asks_the_method_anew(model, make):
    batch = make.batch(model, [5, 6])
    constant = replace(make.by_hand(model, batch, tokens([1] * 5, [1] * 6)), explain=lambda b: tokens(*[[1] * 6] * len(b)))
    assert (Sensitivity(samples=2).score(model, [constant], None).rows["value"] == 0).all()
    method = ShapleySampling(2)
    moving = replace(make.by_method(model, batch, "leave-one-out"), explain=lambda b: method.explain(model, b))
    small, large = (Sensitivity(radius, 3).score(model, [moving], None).rows["value"].to_numpy() for radius in (1e-4, 0.5))
    assert (small > 0).all() and (small < large).all()
    with pytest.raises(NotApplicable, match="score it with `flowgauge run`"):
        Sensitivity().score(model, [make.by_hand(model, batch, tokens([1] * 5, [1] * 6))], None)


def test_plausibility(model, make, value_of):
    batch = make.batch(model, [6])
    shown = make.by_hand(model, batch, tokens([9, -5, 0.5, 3, 0.1, 9]))
    labelled = Instance("i0-0", ("bad it good is",), ("negative",), truth={"token_labels": (0, 2, 4, 2)})
    scores = Plausibility().score(model, [replace(shown, instances=(labelled,))], None)
    assert value_of(scores, "auroc") == 1.0 and value_of(scores, "average_precision") == 1.0
    assert direction(labelled) == -1 and direction(replace(labelled, answer=("very positive",))) == 1
    with pytest.raises(NotApplicable, match="no word labels"):
        Plausibility().score(model, [shown], None)


def test_words_are_sums_of_their_tokens_and_cut_ones_are_left_out():
    words = np.array([[-1, -1], [0, 0], [0, 0], [0, 1], [-1, -1]])
    scores, seen = word_scores(np.array([7.0, 1.0, 2.0, 4.0, 7.0]), words, 3)
    assert scores.tolist() == [3.0, 4.0] and seen.tolist() == [0, 1]


def test_agreement_is_undefined_without_both_kinds_of_words():
    found = agreement(np.array([1.0, 2.0]), np.array([2, 2]), 0)
    assert all(np.isnan(value) and reason for value, reason in found.values())
    assert agreement(np.array([1.0, -2.0, 0.0]), np.array([4, 0, 2]), 1)["signed"][0] == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("make_it", "said"),
    [
        (lambda: Comprehensiveness("cut"), "operator must be"), (lambda: Infidelity(1), "at least 2"),
        (lambda: Sensitivity(0.0), "radius must be above 0"),
    ],
)  # fmt: skip
def test_refused_settings(make_it, said):
    with pytest.raises(UsageError, match=said):
        make_it()
