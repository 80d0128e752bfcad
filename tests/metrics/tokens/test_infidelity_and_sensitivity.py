"""Infidelity and sensitivity, by hand and against captum on the Hugging Face model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from captum.attr import InputXGradient
from captum.metrics import infidelity, sensitivity_max
from tests.metrics.tokens.conftest import passes, tokens

from flowgauge.core.errors import NotApplicable
from flowgauge.methods.explanation import Explanation
from flowgauge.methods.gradients.saliency import GradientXInput
from flowgauge.methods.perturbation.captum_words import seeded
from flowgauge.methods.perturbation.leave_one_out import LeaveOneOut
from flowgauge.methods.perturbation.shapley_and_lime import ShapleySampling
from flowgauge.methods.random import Random
from flowgauge.metrics.base import ExplainedBatch
from flowgauge.metrics.tokens.infidelity_and_sensitivity import Infidelity, Sensitivity
from flowgauge.metrics.tokens.loo_correlation import LooCorrelation
from flowgauge.models.baseline import baseline_words
from flowgauge.models.built.toy_counting import ToyCounting
from flowgauge.models.inputs.encode import encode
from flowgauge.tasks.toy_counting import CountingTask


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
        with pytest.raises(NotApplicable, match="has no mask token; choose baseline pad or zero"):
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
