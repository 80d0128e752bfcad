"""Bottlenecks and information masks: closed forms, exact optima of a linear model, and what must not matter to them."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch.distributions import Normal, kl_divergence

from flowgauge.core.errors import FlowgaugeError, UsageError
from flowgauge.methods.masks import noise_fitting as noisy_states
from flowgauge.methods.masks.ib_attribution import Bottleneck, IBAttribution, information
from flowgauge.methods.masks.information_mask import InformationMask
from flowgauge.methods.masks.noise_fitting import Noise, NoiseFitConfig, fit_chunk, fit_chunks
from flowgauge.models.batch import Batch
from flowgauge.models.built.recurrent import Recurrent
from flowgauge.models.built.toy_counting import ToyCounting
from flowgauge.models.built.training import InMemorySession
from flowgauge.models.inputs.encode import encode
from flowgauge.models.interventions.states import clean_states, outputs_from, outputs_from_each
from flowgauge.tasks.toy_counting import CountingTask


class Linear:
    """Word vectors 3 e_i + 1 at position i of four; one logit of 4 h_0 + h_1, the other 0; position 3 may not be masked."""

    name, n_layers, width = "linear", 0, 4
    weights = torch.tensor([4.0, 1.0, 0.0, 0.0], dtype=torch.float64)

    def maskable(self, batch):
        """All but the last."""
        return batch.attention_mask & (torch.arange(4) < 3)

    def words(self, batch):
        """The same for every instance."""
        return (3 * torch.eye(4, dtype=torch.float64) + 1).expand(len(batch), 4, 4)

    def embed(self, words, batch):
        """They are hidden[0]."""
        return words

    def run(self, *rows, keep=()):
        """Nothing to run."""
        return [SimpleNamespace(site=lambda name, layer, group=group: group.hidden) for group in rows]

    def readout(self, hidden, batch):
        """Reads dimension i at position i."""
        one = hidden.diagonal(dim1=1, dim2=2) @ self.weights
        return (torch.stack([torch.zeros_like(one), one], -1),)

    def outputs(self, batch):
        """Of the words."""
        return self.readout(self.words(batch), batch)


@pytest.fixture
def toy() -> Recurrent:
    return ToyCounting()._untrained().to(torch.device("cpu"), torch.float64)


@pytest.fixture
def digits(toy: Recurrent) -> Batch:
    return encode(toy, CountingTask().instances("test", 12, 0))


@pytest.fixture
def four(model, batches) -> Batch:
    return batches(model, [4, 4])


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
    monkeypatch.setattr(noisy_states, "TOKENS", 12)  # one instance and one depth at a time
    assert {(len(chunk.batch), chunk.depths) for _, chunk in fit_chunks(toy, digits)} == {(1, (0, 1)), (1, (0,)), (1, (1,))}
    for one, two in zip(together, method.explain(toy, digits), strict=True):
        assert one.mask == pytest.approx(two.mask, abs=1e-9)
        assert (one.mask[:, 2:] < 0.99).all() and (one.mask[:, :2] == 1).all()


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


def test_noise_rises_to_the_exact_optimum_of_a_linear_model(four) -> None:
    """sum_i sigma_i^2 w_i^2 - gamma sum_i ln sigma_i is least at sigma_i = sqrt(gamma / 2) / |w_i|."""
    method = InformationMask(divide=False, gamma=0.5, optimiser="adam", lr=0.02, steps=1500, start=-2.0)
    method = method.trained({"variance": torch.tensor([1.0])})
    for found in method.explain(Linear(), four):
        assert found.tokens[:2] == pytest.approx(np.array([4.0, 1.0]) / 0.5, rel=0.25)
        assert found.tokens[2] < 0.1  # nothing reads it: the noise rises as long as there are steps
        assert found.tokens[3] == 0  # may not be masked
        assert found.nodes[0][:2] == pytest.approx(np.array([8.0, 2.0]), rel=0.25)
    quartered = replace(method, divide=True).trained({"variance": torch.tensor([4.0])}).explain(Linear(), four)
    assert quartered[0].tokens[:2] == pytest.approx(np.array([4.0, 1.0]), rel=0.25)
    negative = replace(method, score="negative").trained(method.weights).explain(Linear(), four)[0].tokens
    assert negative[3] == negative[2] < negative[1] < negative[0] < 0


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
        (lambda: InformationMask(steps=0), "steps must be at least 1"),
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
    found = fit_chunk(chunk, NoiseFitConfig(5.0, 3, "rmsprop", 0.1), Bottleneck(chunk, weights, 10.0))
    assert (found.transpose(1, 2)[~chunk.free] == 5).all()
    assert (found.transpose(1, 2)[chunk.free] != 5).all()
