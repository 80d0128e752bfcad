"""Metrics of token scores, on hand-made scores and worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from captum.attr import InputXGradient
from captum.metrics import infidelity, sensitivity_max

from flowgauge.core.errors import NotApplicable, UsageError
from flowgauge.methods.explanation import Explanation
from flowgauge.methods.gradients.saliency import GradientXInput
from flowgauge.methods.perturbation.captum_words import seeded
from flowgauge.methods.perturbation.leave_one_out import LeaveOneOut
from flowgauge.methods.perturbation.shapley_and_lime import ShapleySampling
from flowgauge.methods.random import Random
from flowgauge.metrics.base import ExplainedBatch
from flowgauge.metrics.tokens.comprehensiveness_and_sufficiency import (
    SHARES,
    Comprehensiveness,
    Sufficiency,
    clean_probability,
    kept_words,
    masked,
    probabilities,
    removable,
)
from flowgauge.metrics.tokens.infidelity_and_sensitivity import Infidelity, Sensitivity
from flowgauge.metrics.tokens.loo_correlation import LooCorrelation
from flowgauge.metrics.tokens.plausibility import Plausibility, agreement, direction, word_scores
from flowgauge.models.baseline import baseline_words
from flowgauge.models.built.toy_counting import ToyCounting
from flowgauge.models.inputs.encode import encode
from flowgauge.tasks.instance import Instance
from flowgauge.tasks.toy_counting import CountingTask


def tokens(*rows) -> list[Explanation]:
    return [Explanation(tokens=np.array(row, float)) for row in rows]


def passes(monkeypatch, model) -> list[int]:
    """Grows by the number of rows of every forward pass."""
    sizes: list[int] = []
    outputs = type(model).outputs

    def counted(self, batch):
        sizes.append(len(batch))
        return outputs(self, batch)

    monkeypatch.setattr(type(model), "outputs", counted)
    return sizes


def test_only_keeps_and_moves_along(model, make):
    batch = make.batch(model, [6, 5])
    keep = torch.tensor([[1, 0, 1, 1, 0, 1], [1, 1, 1, 0, 1, 1]], dtype=torch.bool)
    left = batch.only(keep)
    assert left.lengths == [4, 4] and left.target.tolist() == [1, 2]
    assert left.ids.tolist() == [batch.ids[0][[0, 2, 3, 5]].tolist(), batch.ids[1][[0, 1, 2, 4]].tolist()]
    assert left.word_ids[0, :, 1].tolist() == batch.word_ids[0][[0, 2, 3, 5], 1].tolist()
    with pytest.raises(ValueError, match="must include the target of every row"):
        batch.only(keep & (torch.arange(6) != 2))


def test_only_moves_replaced_word_vectors_along(model, make):
    batch = make.batch(model, [6, 5])
    keep = torch.tensor([[1, 0, 1, 1, 0, 1], [1, 1, 1, 0, 1, 1]], dtype=torch.bool)
    moved = replace(batch, word_vectors=model.words(batch).detach() + 0.1).only(keep)
    assert torch.equal(moved.words[0], (model.words(batch)[0] + 0.1)[[0, 2, 3, 5]])


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
        alone = shown.predicted_batch.rows(torch.tensor([row]))
        whole, drops = clean_probability(model, alone)[0], []
        for left in kept_words(shown.predicted[row].tokens, removable(alone)[0].numpy(), keep):
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
    words = removable(shown.predicted_batch).numpy()
    falls = np.zeros(words.shape)
    for at in range(8):
        left = np.ones_like(words)
        left[:, at] = ~words[:, at]
        falls[:, at] = clean_probability(model, shown.predicted_batch) - probabilities(
            model, shown.predicted_batch, range(6), left, "delete"
        )
    good, bad = (make.by_hand(model, batch, tokens(*(sign * falls))) for sign in (1, -1))
    top = [Comprehensiveness().score(model, [s], None).rows.query("variant == 'top/1'")["value"].to_numpy() for s in (good, bad)]
    assert (top[0] >= top[1]).all() and (top[0] > top[1]).any()


def test_removing_the_right_words_beats_the_reverse_by_the_area(model, make, value_of):
    """One word decides: all shares that remove it lose what it is worth, and those that keep it nothing."""
    batch = make.batch(model, [12], seed=1)
    drops = {}
    for at in removable(batch)[0].nonzero()[:, 0].tolist():
        shown = make.by_hand(model, batch, tokens(np.eye(12)[at]))
        drops[at] = value_of(Comprehensiveness().score(model, [shown], None), "top/1")
    order = np.zeros(12)
    order[list(drops)] = list(drops.values())
    top = [
        value_of(Comprehensiveness().score(model, [make.by_hand(model, batch, tokens(s * order))], None), "top/1")
        for s in (1, -1)
    ]
    assert top == [max(drops.values()), min(drops.values())] and top[0] > top[1]


def test_equal_questions_are_asked_once(model, make, monkeypatch):
    """Of 5 removable words, 1, 5, 10 and 20 percent are one word and 50 are three: two questions, and one for the whole."""
    batch = make.batch(model, [8])
    shown = make.by_hand(model, batch, tokens(range(8)))
    sizes = passes(monkeypatch, model)
    rows = Comprehensiveness().score(model, [shown], None).rows
    assert sizes == [1, 2]
    values = rows["value"].tolist()
    assert values[0] == values[1] == values[2] == values[3] != values[4]


@pytest.mark.parametrize("metric", [Comprehensiveness, Sufficiency])
@pytest.mark.parametrize("operator", ["delete", "mask"])
def test_erasure_does_not_depend_on_padding_or_draws_beside(model, make, metric, operator):
    batch, scores = make.batch(model, [9, 6, 4]), [np.random.default_rng(n).normal(size=n) for n in (9, 6, 4)]
    drawn = [Explanation(draws=(Explanation(tokens=s), Explanation(tokens=-s))) for s in scores]
    together = metric(operator).score(model, [make.by_hand(model, batch, drawn)], None).rows
    for row in range(len(batch)):
        alone = batch.rows(torch.tensor([row]))
        shown = make.by_hand(model, alone.only(alone.attention_mask), tokens(-scores[row]))
        found = metric(operator).score(model, [shown], None).rows["value"].to_numpy()
        mine = together[(together["instance"] == batch.names[row]) & (together["draw"] == 1)]["value"].to_numpy()
        assert mine == pytest.approx(found, abs=1e-12)


def test_what_takes_a_masked_words_place(model, make, monkeypatch):
    batch = make.batch(model, [5])
    stay = torch.tensor([[1, 0, 1, 1, 1]], dtype=torch.bool)
    for named, expected in (({"mask": 4, "unk": 3}, 4), ({"mask": None, "unk": 3}, 3), ({"pad": 0}, 0)):
        monkeypatch.setattr(model, "tokenizer", SimpleNamespace(**{f"{k}_token_id": v for k, v in named.items()}))
        assert masked(model, batch, stay).ids[0].tolist() == [*batch.ids[0, :1].tolist(), expected, *batch.ids[0, 2:].tolist()]
    monkeypatch.setattr(model, "tokenizer", SimpleNamespace(mask_token_id=None))
    with pytest.raises(NotApplicable, match="use operator=delete"):
        masked(model, batch, stay)


def test_sentences_without_removable_words_are_undefined(model, make):
    batch = make.batch(model, [3])
    batch = replace(batch, word_ids=torch.full_like(batch.word_ids, -1))
    rows = Comprehensiveness().score(model, [make.by_hand(model, batch, tokens([1, 1, 1]))], None).rows
    assert rows["value"].isna().all() and set(rows["reason"]) == {"the instance has no word that can be removed."}


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
    left_out = [e.tokens for e in LeaveOneOut().explain(model, shown.predicted_batch)]
    for scale, signed, absolute in ((1.0, 1.0, 1.0), (-2.0, -1.0, 1.0)):
        scores = LooCorrelation().score(model, [make.by_hand(model, batch, tokens(*(scale * t for t in left_out)))], None)
        assert value_of(scores, "signed") == pytest.approx(signed) and value_of(scores, "absolute") == pytest.approx(absolute)
    flat = LooCorrelation().score(model, [shown], None).rows
    assert flat["value"].isna().all() and set(flat["reason"]) == {"the token scores are all the same."}


def test_infidelity_is_the_mean_squared_miss(model, make, value_of):
    """Shapley values miss less than their negatives; the scaled variant does not mind the scale."""
    batch = make.batch(model, [5, 6])
    relabelled = make.by_hand(model, batch, tokens([0] * 5, [0] * 6)).predicted_batch
    exact = [e.tokens for e in ShapleySampling(200).explain(model, relabelled)]
    found = {}
    for scale in (1.0, 10.0, -1.0):
        scores = Infidelity(200).score(model, [make.by_hand(model, batch, tokens(*(scale * t for t in exact)))], None)
        found[scale] = value_of(scores, "raw"), value_of(scores, "scaled")
    assert found[1.0][0] < found[-1.0][0] and found[1.0][0] < found[10.0][0]
    assert found[10.0][1] == pytest.approx(found[1.0][1])
    nothing = Infidelity(4).score(model, [make.by_hand(model, batch, tokens([0] * 5, [0] * 6))], None)
    assert value_of(nothing, "scaled") == value_of(nothing, "raw") > found[1.0][1]


def hf_q(model, batch):
    """q of one unpadded sentence's word vectors by the Hugging Face model."""

    def forward(words):
        logits = model.hf(inputs_embeds=words).logits[:, int(batch.target[0])]
        return logits[:, int(batch.answer[0, 0])] - logits[:, int(batch.against[0, 0])]

    return forward


def test_infidelity_is_captums_on_the_hugging_face_model(model, make, value_of):
    shown = make.by_hand(model, make.batch(model, [6]), tokens(np.arange(6.0) - 2))
    asked, scores = shown.predicted_batch, Infidelity(30).score(model, [shown], None)
    x, x_b = model.words(asked).detach(), baseline_words(model, asked, "mask").detach()

    def remove(words):
        out = torch.bernoulli(torch.full(words.shape[:2], 0.5, dtype=words.dtype))[..., None]
        return out.expand_as(words) / words.shape[2], torch.where(out > 0, x_b, words)

    given = torch.as_tensor(shown.predicted[0].tokens)[None, :, None].expand_as(x)
    for name in ("raw", "scaled"):
        with seeded(asked.seeds[0]), torch.no_grad():
            oracle = infidelity(hf_q(model, asked), remove, x, given, n_perturb_samples=30, normalize=name == "scaled")
        assert value_of(scores, name) == pytest.approx(float(oracle), rel=1e-5)


def test_infidelity_by_hand(model, make, value_of):
    """One word moves q by d and gets the score s: the miss is (s - d)^2 whenever it is drawn, and nothing is left once scaled."""
    batch = make.batch(model, [4])
    ids = torch.full_like(batch.ids, model.tokenizer.mask_token_id)
    ids[0, 1] = batch.ids[0, 1]
    batch = replace(batch, ids=ids, cache={})
    shown = make.by_hand(model, batch, tokens([0, 0.7, 0, 0]))
    (fall,) = LeaveOneOut().explain(model, shown.predicted_batch)
    with seeded(batch.seeds[0]):
        drawn = torch.bernoulli(torch.full((50, 4), 0.5, dtype=torch.float64))[:, 1].mean()
    scores = Infidelity(50).score(model, [shown], None)
    assert value_of(scores, "raw") == pytest.approx(float(drawn) * (0.7 - fall.tokens[1]) ** 2)
    assert 0 <= value_of(scores, "scaled") < 1e-12


def test_recurrent_models_are_asked_about_what_may_be_masked():
    """What is said of the query, which is never removed, does not count."""
    model = ToyCounting()._untrained().to(torch.device("cpu"), torch.float64)
    instances = [i for i in CountingTask().instances("test") if len(i.segments[1].split()) == 4][:3]
    batch = encode(model, instances)
    falls = [e.tokens for e in LeaveOneOut("zero").explain(model, batch)]
    loud = tokens(*(np.where(model.maskable(batch)[row].numpy(), t, 1e3) for row, t in enumerate(falls)))
    found = {}
    for name, made in (("plain", tokens(*falls)), ("loud", loud)):
        shown = ExplainedBatch(batch, batch, tuple(instances), tuple(made), tuple(made))
        rows = LooCorrelation("zero").score(model, [shown], None).rows
        assert rows["value"].tolist() == pytest.approx([1] * 6)
        found[name] = Infidelity(20, "zero").score(model, [shown], None).rows["value"]
    assert found["plain"].tolist() == found["loud"].tolist() and (found["plain"] > 0).any()
    for metric in (LooCorrelation(), Infidelity()):
        assert "transformer" not in metric.needs
        with pytest.raises(NotApplicable, match="has no mask token; choose baseline zero"):
            metric.score(model, [shown], None)


def test_infidelity_runs_the_model_once_for_all_draws(model, make, monkeypatch):
    batch, rng = make.batch(model, [5]), np.random.default_rng(0)
    drawn = Explanation(draws=tuple(Explanation(tokens=rng.normal(size=5)) for _ in range(4)))
    shown = make.by_hand(model, batch, [drawn])
    sizes = passes(monkeypatch, model)
    rows = Infidelity(10).score(model, [shown], None).rows
    assert sorted(sizes) == [1, 10]
    assert rows["value"].nunique() == 8


def test_captums_metrics_do_not_depend_on_padding(model, make):
    """Several short sentences, for the first draw of the sensitivity would be the same with padding."""
    batch, method = make.batch(model, [8, 5, 5, 5, 5]), LeaveOneOut()

    def scored(metric, asked):
        shown = replace(make.by_method(model, asked, "leave-one-out"), explain=lambda b: method.explain(model, b))
        return metric.score(model, [shown], None).rows.set_index(["instance", "variant"])["value"]

    for metric in (Infidelity(20), Sensitivity(samples=6)):
        together = scored(metric, batch)
        for row in range(1, 5):
            alone = batch.rows(torch.tensor([row]))
            own = scored(metric, alone.only(alone.attention_mask))
            assert together[own.index].to_numpy() == pytest.approx(own.to_numpy(), rel=1e-9)


def test_sensitivity_is_captums_on_the_hugging_face_model(model, make, value_of):
    batch = make.batch(model, [6])
    method = GradientXInput()
    shown = replace(make.by_method(model, batch, "gradient-x-input"), explain=lambda b: method.explain(model, b))

    def explain(given):
        (words,) = given if isinstance(given, tuple) else (given,)
        with torch.enable_grad():
            return (InputXGradient(hf_q(model, batch)).attribute(words.detach().requires_grad_(True)).sum(-1).detach(),)

    radius = 0.1 * float(model.word_embedding.weight.detach().square().mean().sqrt())
    with seeded(batch.seeds[0]):
        oracle = sensitivity_max(explain, model.words(batch).detach(), perturb_radius=radius, n_perturb_samples=5)
    assert value_of(Sensitivity(samples=5).score(model, [shown], None), "sensitivity") == pytest.approx(float(oracle), rel=1e-5)


def test_sensitivity_of_scores_that_are_all_0_is_undefined(model, make):
    batch = make.batch(model, [5])
    jumps = replace(make.by_hand(model, batch, tokens([0] * 5)), explain=lambda b: tokens(*[[float(len(b) > 1)] * 5] * len(b)))
    rows = Sensitivity(samples=2).score(model, [jumps], None).rows
    assert rows["value"].isna().all() and set(rows["reason"]) == {"the token scores are all 0."}


def test_sensitivity_of_scores_that_do_not_look_at_the_input_is_undefined(model, make):
    """Perfect stability is not something that a random method earns by drawing the same again."""
    batch, method = make.batch(model, [5, 6]), Random(draws=3)
    shown = replace(make.by_method(model, batch, "random:draws=3"), explain=lambda b: method.explain(model, b))
    rows = Sensitivity(samples=2).score(model, [shown], None).rows
    assert rows["value"].isna().all() and all("does not depend on the input" in reason for reason in rows["reason"])


def test_sensitivity_asks_the_method_anew(model, make):
    batch = make.batch(model, [5, 6])
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


@pytest.mark.parametrize(("answer", "tau"), [("negative", -1.0), ("very positive", 1.0), ("neutral", np.nan)])
def test_signed_agreement_turns_scores_towards_positive_sentiment(model, make, value_of, answer, tau):
    shown = make.by_hand(model, make.batch(model, [5]), tokens([9, -1, 0, 2, 9]))
    labelled = Instance("i0-0", ("bad it good",), (answer,), truth={"token_labels": (0, 2, 4)})
    scores = Plausibility().score(model, [replace(shown, instances=(labelled,))], None)
    assert value_of(scores, "signed") == pytest.approx(tau, nan_ok=True)
    assert value_of(scores, "auroc") == 1.0


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
