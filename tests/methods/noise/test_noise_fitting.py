"""Fits of noise: independence of the batch, refusals."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from flowgauge.core.errors import FlowgaugeError, UsageError
from flowgauge.methods.noise import noise_fitting
from flowgauge.methods.noise.ib_attribution import Bottleneck, IBAttribution
from flowgauge.methods.noise.information_mask import InformationMask
from flowgauge.methods.noise.noise_fitting import Noise, NoiseFitSettings, fit_chunk, fit_chunks
from flowgauge.models.built.training import InMemorySession
from flowgauge.models.interventions.states import clean_states, outputs_from, outputs_from_each


def test_states_at_several_depths_run_as_one_growing_batch(model, batch, toy, digits) -> None:
    for one, on in ((model, batch), (toy, digits)):
        states = {depth: 0.5 * state for depth, state in enumerate(clean_states(one, on))}
        (together,) = outputs_from_each(one, on, states)
        apart = torch.cat([outputs_from(one, on, depth, state)[0] for depth, state in states.items()])
        torch.testing.assert_close(together, apart, rtol=0, atol=1e-5 if one is model else 1e-12)


def test_noise_of_an_instance_and_depth_depends_on_nothing_beside_it(toy, digits) -> None:
    ((_, whole),) = fit_chunks(toy, digits)
    both = [torch.stack(list(Noise(whole)())[1:2])[0] for _ in range(2)]
    assert (both[0] == both[1]).all() and both[0].std() > 0.5
    last = replace(whole, depths=(1,), states=whole.states[1:])
    assert (next(iter(Noise(last)())) == both[0]).all()
    for row, n in enumerate(whole.batch.lengths):
        one = whole.batch.rows(torch.tensor([row]))
        assert (both[0][row, n:] == 0).all()
        ((_, alone),) = fit_chunks(toy, one)
        assert (list(Noise(alone)())[1][0] == both[0][row, :n]).all()


@pytest.mark.parametrize("optimiser", ["rmsprop", "adam"])
def test_depths_fitted_together_are_those_fitted_alone(toy, digits, optimiser, monkeypatch) -> None:
    method = IBAttribution(steps=15, optimiser=optimiser)
    method = method.trained(method.fit(toy, [digits], InMemorySession()))
    together = method.explain(toy, digits)
    monkeypatch.setattr(noise_fitting, "TOKENS", 12)  # one instance and one depth at a time
    assert {(len(chunk.batch), chunk.depths) for _, chunk in fit_chunks(toy, digits)} == {(1, (0, 1)), (1, (0,)), (1, (1,))}
    for one, two in zip(together, method.explain(toy, digits), strict=True):
        assert one.mask == pytest.approx(two.mask, abs=1e-9)
        assert (one.mask[:, 2:] < 0.99).all() and (one.mask[:, :2] == 1).all()


def test_weights_of_another_model_and_bad_settings_are_refused(toy, digits, model, batch) -> None:
    trained = IBAttribution().trained(IBAttribution().fit(toy, [digits], InMemorySession()))
    with pytest.raises(UsageError, match="train on this model"):
        trained.explain(model, batch)
    one = [digits.rows(torch.tensor([0]))]
    with pytest.raises(FlowgaugeError, match=r"the same on all 1 .* or set divide=false"):
        InformationMask().fit(toy, one, InMemorySession())
    assert InformationMask(divide=False).fit(toy, one, InMemorySession())["variance"].tolist() == [1.0]
    for make, said in (
        (lambda: IBAttribution(stats="token"), "stats must be feature or position"),
        (lambda: IBAttribution(beta=-1), "beta must be at least 0"),
        (lambda: IBAttribution(optimiser="sgd"), "optimiser must be rmsprop or adam"),
        (lambda: InformationMask(steps=0), "steps must be above 0"),
        (lambda: InformationMask(gamma=0), "gamma must be above 0"),
        (lambda: InformationMask(score="log"), "score must be inverse or negative"),
    ):
        with pytest.raises(UsageError, match=said):
            make()


@pytest.mark.parametrize(
    ("method", "said"),
    [
        (IBAttribution(beta=1e300, steps=20), "diverged within 20 steps: lower lr"),
        (InformationMask(gamma=1e300, steps=20), "diverged within 20 steps: lower lr"),
        (InformationMask(start=-1e4, steps=2), "fell to 0 .* lower lr, .* or raise start"),
    ],
)
def test_a_fit_that_diverges_says_so(toy, digits, method, said) -> None:
    with pytest.raises(FlowgaugeError, match=said):
        method.trained(method.fit(toy, [digits], InMemorySession())).explain(toy, digits)


def test_strengths_without_a_gradient_stay(toy, digits) -> None:
    """What is not free does not move, whatever the optimiser."""
    ((_, chunk),) = fit_chunks(toy, digits)
    weights = IBAttribution().fit(toy, [digits], InMemorySession())
    found = fit_chunk(chunk, NoiseFitSettings(5.0, steps=3), Bottleneck(chunk, weights, 10.0))
    assert (found.transpose(1, 2)[~chunk.free] == 5).all()
    assert (found.transpose(1, 2)[chunk.free] != 5).all()


@pytest.mark.parametrize("kind", [IBAttribution, InformationMask])
def test_words_of_noise_that_is_fitted(toy, digits, kind) -> None:
    both = [kind(steps=4, divide=False, nodes=n) if kind is InformationMask else kind(steps=4, nodes=n) for n in (True, False)]
    whole, words = (method.trained(method.fit(toy, [digits], InMemorySession())) for method in both)
    for one, other in zip(words.explain(toy, digits), whole.explain(toy, digits), strict=True):
        assert one.views == words.gives == {"tokens"} and other.views == whole.gives
        np.testing.assert_allclose(one.tokens, other.tokens, rtol=1e-9)
