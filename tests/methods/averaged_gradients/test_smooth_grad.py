"""SmoothGrad against the literal mean, against a function whose mean gradient is known, and without noise."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.methods.averaged_gradients.conftest import FAMILIES, assert_same, gradient_of, words_of

from flowgauge.core.errors import UsageError
from flowgauge.methods.averaged_gradients import word_gradients
from flowgauge.methods.averaged_gradients.smooth_grad import SmoothGrad
from flowgauge.methods.averaged_gradients.word_noise import WordNoise, value_range
from flowgauge.methods.gradients.saliency import GradientXInput


@pytest.mark.parametrize("family", FAMILIES)
def test_smooth_grad_is_the_literal_mean(models, batches, family):
    model = models(family)
    batch = batches(model, [6, 4])
    noise, expected = WordNoise(model, batch, 0.2, batch.attention_mask), []
    for row, n in enumerate(batch.lengths):
        x = words_of(model, batch, row)
        gradients = [gradient_of(model, batch, row, x + noise.draw(torch.tensor([row]))[0, :n]) for _ in range(5)]
        expected.append((torch.stack(gradients).mean(0) * x).sum(-1))
    assert_same(SmoothGrad(5, 0.2).explain(model, batch), expected)


@pytest.mark.parametrize("family", FAMILIES)
def test_without_noise_it_is_gradient_x_input(models, batches, family):
    model = models(family)
    batch = batches(model, [6, 4])
    assert_same(SmoothGrad(3, 0.0).explain(model, batch), [one.tokens for one in GradientXInput().explain(model, batch)])


def test_of_a_cubic_it_adds_three_variances(model, batches, monkeypatch):
    """q = sum x^3 has the mean gradient 3 (x^2 + s^2) under noise of deviation s."""
    monkeypatch.setattr(word_gradients, "forward_of_words", lambda *_: lambda words, row: (words**3).sum((1, 2)))
    batch = batches(model, [6, 4])
    smooth = SmoothGrad(4000, 0.3).explain(model, batch)
    for row, one in enumerate(smooth):
        x, variance = words_of(model, batch, row), (0.3 * value_range(model, batch)[row]) ** 2
        exact = (3 * (x**2 + variance) * x).sum(-1).numpy()
        assert np.abs(one.tokens - exact).max() < 0.03 * np.abs(exact).max()
        assert np.abs(one.tokens - (3 * x**3).sum(-1).numpy()).max() > 0.2 * np.abs(exact).max()


@pytest.mark.parametrize(("settings", "said"), [({"samples": 0}, "samples must be above 0"), ({"noise": -0.1}, "noise must be")])
def test_refused_settings(settings, said):
    with pytest.raises(UsageError, match=said):
        SmoothGrad(**settings)
