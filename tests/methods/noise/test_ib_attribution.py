"""Information, objective and statistics of the bottleneck, and which states it keeps."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.methods.masks.conftest import Linear
from torch.distributions import Normal, kl_divergence

from flowgauge.methods.noise.ib_attribution import Bottleneck, IBAttribution, information
from flowgauge.methods.noise.noise_fitting import fit_chunks
from flowgauge.models.built.training import InMemorySession
from flowgauge.models.interventions.states import clean_states, outputs_from_each


def test_information_is_the_divergence_of_the_noisy_state_with_its_gradient() -> None:
    generator = torch.Generator().manual_seed(0)
    h, mean = (torch.randn(5, 7, generator=generator, dtype=torch.float64) for _ in range(2))
    sd = torch.rand(5, 7, generator=generator, dtype=torch.float64) + 0.1
    a = torch.tensor([-3.0, -0.5, 0.0, 2.0, 9.0], dtype=torch.float64, requires_grad=True)
    g = a.sigmoid()[:, None]
    oracle = kl_divergence(Normal(g * h + (1 - g) * mean, (1 - g) * sd), Normal(mean, sd)).mean(-1)
    found = information(a, (((h - mean) / sd) ** 2).mean(-1))
    torch.testing.assert_close(found, oracle, rtol=1e-10, atol=1e-12)
    expected, grad = (torch.autograd.grad(each.sum(), a, retain_graph=True)[0] for each in (oracle, found))
    torch.testing.assert_close(grad, expected, rtol=1e-8, atol=1e-12)


def test_information_is_finite_where_the_gate_is_all_open() -> None:
    a = torch.tensor([40.0, 200.0], requires_grad=True)
    found = information(a, torch.tensor([1.0, 1.0]))
    assert found.tolist() == pytest.approx([40.0, 200.0])
    (grad,) = torch.autograd.grad(found.sum(), a)
    assert grad.tolist() == pytest.approx([1.0, 1.0])


def test_the_loss_is_the_one_of_the_source(toy, digits) -> None:
    method = IBAttribution(beta=3.0)
    weights = method.fit(toy, [digits], InMemorySession())
    ((_, chunk),) = fit_chunks(toy, digits)
    objective = Bottleneck(chunk, weights, 3.0)
    a = torch.randn(12, 2, chunk.free.shape[1], generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    outputs = outputs_from_each(toy, chunk.batch, dict(enumerate(chunk.states)))
    expected = torch.zeros((), dtype=torch.float64)
    for row in range(12):
        for depth, states in enumerate(chunk.states):
            mean, sd, free = weights[f"mean.{depth}"][0], weights[f"sd.{depth}"][0], chunk.free[row]
            h, g = states[row, free], a[row, depth, free].sigmoid()[:, None]
            kl = kl_divergence(Normal(g * h + (1 - g) * mean, (1 - g) * sd), Normal(mean, sd))
            logits = toy.outputs(chunk.batch)[0][row]
            expected += torch.nn.functional.cross_entropy(logits, chunk.batch.answer[row, 0]) + 3 * kl.mean()
    assert objective.loss(a, outputs).item() == pytest.approx(expected.item(), rel=1e-10)


def test_statistics_are_those_of_the_states_that_may_be_masked(toy, digits) -> None:
    halves = [digits.rows(torch.arange(6)), digits.rows(torch.arange(6, 12))]
    halves[1] = halves[1].only(halves[1].attention_mask)
    found = IBAttribution().fit(toy, halves, InMemorySession())
    hidden, free = clean_states(toy, digits)[1], toy.maskable(digits)
    assert found["mean.1"].shape == (1, 2)
    torch.testing.assert_close(found["mean.1"][0], hidden[free].mean(0))
    torch.testing.assert_close(found["sd.1"][0], hidden[free].std(0, correction=0))
    apart = IBAttribution(stats="position").fit(toy, halves, InMemorySession())
    assert apart["mean.1"].shape == (13, 2)
    at = hidden[:, 4][free[:, 4]]
    torch.testing.assert_close(apart["mean.1"][4], at.mean(0))
    torch.testing.assert_close(apart["sd.1"][4], at.std(0, correction=0))
    torch.testing.assert_close(apart["mean.1"][0], found["mean.1"][0])  # the query: never masked, so never met
    torch.testing.assert_close(apart["mean.1"][12], found["mean.1"][0])


def test_statistics_go_on_where_they_were(toy, digits) -> None:
    class Killed(InMemorySession):
        kept: dict[str, torch.Tensor] = {}

        def checkpoint(self, tensors):
            self.kept = dict(tensors)

        def resume(self):
            return dict(self.kept)

    training = Killed()
    IBAttribution().fit(toy, [digits], training)
    again = IBAttribution().fit(toy, [digits, digits.rows(torch.arange(4))], training)
    assert [row["step"] for row in training.curve] == [1, 2]
    whole = IBAttribution().fit(toy, [digits, digits.rows(torch.arange(4))], InMemorySession())
    assert all(torch.equal(again[name], whole[name]) for name in whole)


def test_what_the_answer_does_not_need_is_noise(four) -> None:
    four = replace(four, answer=torch.ones_like(four.answer))
    weights = {f"{n}.{d}": torch.full((1, 4), v) for d in range(2) for n, v in (("mean", 0.0), ("sd", 2.0))}
    for found in IBAttribution(beta=0.5, steps=300).trained(weights).explain(Linear(), four):
        for depth, bits in enumerate((found.tokens, found.nodes[0])):
            assert found.mask[depth, 3] == 1 and bits[3] == 0
            assert found.mask[depth, 2] < 0.05 and bits[2] < 0.05
            assert found.mask[depth, 0] > 0.3 and bits[0] > 50 * bits[2]
    free = IBAttribution(beta=0.0, steps=50).trained(weights).explain(Linear(), four)[0]
    assert free.mask[0, 2] == pytest.approx(1 / (1 + np.exp(-5)))  # no gradient: where it started
    assert free.fill.tolist() == [[0.0] * 4] * 2  # mu
    ratio = torch.tensor(free.mask[0, 0]).logit()
    states = Linear().words(four)[0, 0]
    expected = 4 * float(information(ratio, ((states / 2) ** 2).mean())) / np.log(2)
    assert free.tokens[0] == pytest.approx(expected, rel=1e-9)


def test_at_the_last_state_a_classifier_needs_the_position_it_reads(models, batches) -> None:
    model = models("bert", "label")
    on = batches(model, [6, 5])
    method = IBAttribution(steps=150, beta=1e-3)
    for found in method.trained(method.fit(model, [on], InMemorySession())).explain(model, on):
        assert found.mask[-1, 0] > 0.5
        assert found.mask[-1, 1:].max() < 0.2
        assert found.nodes[-1].argmax() == 0
