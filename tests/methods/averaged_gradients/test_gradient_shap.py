"""Gradient SHAP against captum with the same draws, integrated gradients, and its completeness in expectation."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from captum.attr import GradientShap as Captum
from tests.methods.averaged_gradients.conftest import FAMILIES, assert_same, q_of, words_of
from tests.models.conftest import alone

from flowgauge.core.errors import UsageError
from flowgauge.methods.averaged_gradients import gradient_shap, word_gradients
from flowgauge.methods.averaged_gradients.gradient_shap import GradientShap
from flowgauge.methods.averaged_gradients.word_noise import WordNoise
from flowgauge.methods.gradients.integrated_gradients import IntegratedGradients
from flowgauge.models.baseline import baseline_words
from flowgauge.models.outputs import value


def captums(model, batch, row, shares, starts):
    """captum's own scores of one sentence, which takes these shares and starts for its draws."""
    n, one = batch.lengths[row], alone(batch, row)

    def forward(words):
        many = replace(one.rows(torch.zeros(len(words), dtype=torch.long)), word_vectors=words)
        return value(model.outputs(many), many)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(np.random, "uniform", lambda *_: shares.double().numpy())
        patch.setattr(np.random, "choice", lambda *_: np.arange(len(starts)))
        x = words_of(model, batch, row)[None]
        assert x.shape[1] == n
        return Captum(forward).attribute(x, starts, n_samples=len(starts), stdevs=0.0)[0].sum(-1)


@pytest.mark.parametrize("family", FAMILIES)
def test_it_is_captums_own_with_the_same_draws(models, batches, family):
    model = models(family)
    batch = batches(model, [6, 4])
    noise = WordNoise(model, batch, 0.3, (batch.ids != 4) & batch.attention_mask)
    x_b, expected = baseline_words(model, batch, "mask"), []
    explained = GradientShap(5, 0.3).explain(model, batch)
    for row, n in enumerate(batch.lengths):
        shares = torch.rand(5, generator=noise.generators[row])
        starts = words_of(model, batch, row, x_b) + noise.draw(torch.full((5,), row))[:, :n]
        expected.append(captums(model, batch, row, shares, starts))
        mean = torch.stack([q_of(model, batch, row, start) for start in starts]).mean()
        assert explained[row].values["q_baseline"] == pytest.approx(float(mean), rel=1e-9)
    assert_same(explained, expected)


@pytest.mark.parametrize("family", ["bert", "gpt2"])
def test_without_noise_it_comes_to_integrated_gradients(models, batches, family):
    model = models(family)
    batch = batches(model, [4, 3])
    exact = IntegratedGradients("gauss-legendre", 64, nodes=False).explain(model, batch)
    errors = []
    for samples in (3, 1500):
        drawn = GradientShap(samples, 0.0).explain(model, batch)
        scale = [abs(one.tokens).max() for one in exact]
        errors.append(max(abs(a.tokens - b.tokens).max() / s for a, b, s in zip(drawn, exact, scale, strict=True)))
        assert [one.values["q_baseline"] for one in drawn] == pytest.approx([one.values["q_baseline"] for one in exact])
    assert errors[1] < 0.1 and 2 * errors[1] < errors[0], errors


def test_with_noise_it_is_complete_in_expectation(model, batches):
    batch = batches(model, [4, 3])
    q = value(model.outputs(batch), batch).tolist()
    (few, many) = (GradientShap(samples, 0.2).explain(model, batch) for samples in (1, 4000))
    errors = [
        [abs(one.tokens.sum() - (whole - one.values["q_baseline"])) for one, whole in zip(drawn, q, strict=True)]
        for drawn in (few, many)
    ]
    plain = GradientShap(10, 0.0).explain(model, batch)
    for row in range(2):
        assert errors[1][row] < 0.1 * abs(q[row] - many[row].values["q_baseline"])
        assert abs(plain[row].values["q_baseline"] - many[row].values["q_baseline"]) > 1e-3
    assert max(errors[1]) < max(errors[0])


def test_of_a_linear_function_the_sum_is_exact_draw_by_draw(model, batches, monkeypatch):
    """q = sum_j <w, z_j> has <w, x_j - b_j> at every point, so that tokens sum to q(x) - q_baseline whatever is drawn."""
    weight = torch.linspace(-1, 2, 16, dtype=torch.float64)
    for module in (gradient_shap, word_gradients):
        monkeypatch.setattr(module, "forward_of_words", lambda *_: lambda words, row: (words @ weight).sum(1))
    batch = batches(model, [4])
    x, x_b = words_of(model, batch, 0), words_of(model, batch, 0, baseline_words(model, batch, "mask"))
    assert_same(GradientShap(2, 0.0).explain(model, batch), [(x - x_b) @ weight])
    (noisy,) = GradientShap(2, 0.3).explain(model, batch)
    assert noisy.tokens.sum() == pytest.approx(float((x @ weight).sum()) - noisy.values["q_baseline"], rel=1e-9)
    assert abs(noisy.tokens.sum() - float(((x - x_b) @ weight).sum())) > 1e-2


@pytest.mark.parametrize("baseline", ["mask", "mask-words"])
def test_words_that_equal_the_baseline_get_nothing(model, batches, baseline):
    batch = batches(model, [6])
    batch.word_ids[0, 0] = -1  # as a [CLS]
    (one,) = GradientShap(3, 0.3, baseline).explain(model, batch)
    assert one.tokens[2] == 0 and (one.tokens[0] == 0) == (baseline == "mask-words") and one.tokens[1] != 0


@pytest.mark.parametrize(("settings", "said"), [({"samples": 0}, "samples must be above 0"), ({"noise": -0.1}, "noise must be")])
def test_refused_settings(settings, said):
    with pytest.raises(UsageError, match=said):
        GradientShap(**settings)
