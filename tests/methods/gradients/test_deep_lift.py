"""DeepLIFT by completeness, by hand, against captum on a plain network, and against gradients where differences are small."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from captum.attr import DeepLift as Captum
from tests.methods.gradients.conftest import start

from flowgauge.methods.gradients.deep_lift import RULES, DeepLift
from flowgauge.models.baseline import baseline_words
from flowgauge.models.batch import Rows
from flowgauge.models.layers.derivative_rules import DerivativeRules
from flowgauge.models.memory import within_memory
from flowgauge.models.outputs import value
from flowgauge.tasks.instance import Quantity

PLACES = [
    ("bert", "", "logit_difference"), ("bert", "label", "probability"), ("bert", "span", "log_probability"),
    ("albert", "", "logit"), ("deberta-v2", "", "logit_difference"), ("modernbert", "", "probability"),
    ("gpt2", "", "logit_difference"), ("gpt_neox", "", "logit_difference"), ("gemma2", "", "probability"),
    ("llama", "", "logit_difference"), ("qwen3", "span", "logit"),
]  # fmt: skip


def double(*numbers):
    return torch.tensor(numbers, dtype=torch.float64)


@pytest.mark.parametrize(("family", "head", "form"), PLACES)
def test_words_and_the_states_of_every_layer_sum_to_the_change_of_q(models, batches, family, head, form):
    model = models(family, head)
    batch = replace(batches(model, [6, 4]), quantity=Quantity(form))
    with torch.no_grad():
        moved = replace(batch, word_vectors=baseline_words(model, batch, "mean"), cache={})
        q, q_base = value(model.outputs(batch), batch), value(model.outputs(moved), batch)
    for row, found in enumerate(DeepLift("mean").explain(model, batch)):
        change = float(q[row] - q_base[row])
        assert abs(change) > 1e-5
        assert found.tokens.sum() == pytest.approx(change, abs=1e-12)
        assert abs(found.nodes.sum(1) - change).max() < 1e-12
        assert found.values["completeness_error"] < 1e-12
        assert found.values["q_baseline"] == pytest.approx(float(q_base[row]), abs=1e-12)


@pytest.mark.parametrize("act", ["gelu_new", "quick_gelu"])
def test_composed_activation_functions_of_heads_are_complete(models, batches, act):
    model = models("bert", hidden_act=act)
    for found in DeepLift("mean").explain(model, batches(model, [5, 4])):
        assert found.values["completeness_error"] < 1e-12 and abs(found.tokens.sum()) > 1e-3


@pytest.mark.filterwarnings("ignore:Setting forward, backward hooks")
@pytest.mark.parametrize("activation", [torch.nn.ReLU, torch.nn.Tanh])
def test_a_network_of_linear_maps_and_activation_functions_is_captums(activation):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        layers = [torch.nn.Linear(4, 6), activation(), torch.nn.Linear(6, 5), activation(), torch.nn.Linear(5, 1)]
        network = torch.nn.Sequential(*layers).double().requires_grad_(False)
        x, base = torch.randn(2, 3, 4, dtype=torch.float64)
    expected = Captum(network).attribute(x.clone().requires_grad_(True), base)
    rows = torch.cat([x, base]).requires_grad_(True)
    with DerivativeRules(RULES):
        (multipliers,) = torch.autograd.grad(network(rows)[:3].sum(), rows)
    np.testing.assert_allclose(((x - base) * multipliers[:3]).numpy(), expected.detach().numpy(), rtol=1e-9, atol=1e-12)


def test_a_softmax_by_hand():
    """Scores (ln 3, 0) against (0, 0): 3/4 of the first, 1/2 before, and the second score does not change."""
    scores = torch.stack([double(math.log(3), 0), double(0, 0)]).requires_grad_(True)
    with DerivativeRules(RULES):
        weights, logarithms = scores.softmax(-1), scores.log_softmax(-1)
    assert weights.tolist() == [[pytest.approx(0.75), pytest.approx(0.25)], [0.5, 0.5]]
    # exponentials: 2 / ln 3, and 1 as the slope; logarithm of the sums 4 and 2: ln 2 / 2; last exponential: (1/4) / ln(3/2)
    shares = double(2 / math.log(3), 1) * math.log(2) / 2
    expected = (double(1, 0) - shares) * 0.25 / math.log(1.5)
    np.testing.assert_allclose(torch.autograd.grad(logarithms[0, 0], scores)[0][0], double(1, 0) - shares, rtol=1e-13)
    np.testing.assert_allclose(torch.autograd.grad(weights[0, 0], scores)[0][0], expected, rtol=1e-13)
    assert float(expected[0]) * math.log(3) == pytest.approx(0.25)


def test_a_softmax_of_scores_far_apart_has_no_large_multipliers():
    scores = torch.stack([double(-900, 0, 3, -torch.inf), double(50, 900, 3, -torch.inf)]).requires_grad_(True)
    with DerivativeRules(RULES):
        weights = scores.softmax(-1)
    step = (scores[0] - scores[1]).detach()[:3]
    for index in range(4):
        (multipliers,) = torch.autograd.grad(weights[0, index], scores, retain_graph=True)
        assert multipliers.abs().max() <= 1 and multipliers[0, 3] == 0
        change = float((weights[0, index] - weights[1, index]).detach())
        assert multipliers[0, :3] @ step == pytest.approx(change, abs=1e-12)


def test_a_product_and_a_norm_by_hand():
    a, b = double(5, 1).requires_grad_(True), double(4, 2).requires_grad_(True)
    with DerivativeRules(RULES):
        product = a * b
    by_a, by_b = torch.autograd.grad(product[0], (a, b))
    assert float(by_a[0]) == float(by_b[0]) == 3  # 20 - 2 = 4 * 3 + 2 * 3
    x = torch.stack([double(3, 4), double(0, 4)]).requires_grad_(True)
    with DerivativeRules(RULES):
        normed = torch.nn.functional.rms_norm(x, (2,), None, 0.0)
    (multipliers,) = torch.autograd.grad(normed[0, 0], x)
    # mean squares 12.5 and 8; one over their roots has multiplier r; x_0 is 1.5 half way, and x_0^2 has multiplier 3
    ours, base = 12.5**-0.5, 8**-0.5
    r = (ours - base) / 4.5
    assert multipliers[0].tolist() == pytest.approx([(ours + base) / 2 + 1.5 * r * 3 / 2, 1.5 * r * 8 / 2], rel=1e-13)
    assert 3 * float(multipliers[0, 0]) == pytest.approx(3 * ours)


@pytest.mark.parametrize("family", ["bert", "gpt2", "llama"])
def test_close_to_the_baseline_it_is_the_gradient_half_way(models, batches, family):
    model = models(family)
    batch = batches(model, [6, 4])
    base = baseline_words(model, batch, "mean")
    step = 1e-4 * torch.randn(base.shape, generator=torch.Generator().manual_seed(1), dtype=base.dtype)
    near = replace(batch, word_vectors=base + step, cache={})
    half_way = (base + step / 2).requires_grad_(True)
    (gradient,) = torch.autograd.grad(
        value(model.outputs(replace(batch, word_vectors=half_way, cache={})), batch).sum(), half_way
    )
    expected = (gradient * step).sum(-1).numpy()
    for row, found in enumerate(DeepLift("mean").explain(model, near)):
        n = batch.lengths[row]
        np.testing.assert_allclose(found.tokens, expected[row, :n], rtol=1e-4, atol=1e-6 * abs(expected[row]).max())


@pytest.mark.parametrize("family", ["bert", "gemma2"])
def test_no_value_of_the_model_changes_by_a_bit(models, batches, family):
    model = models(family)
    batch = batches(model, [6, 4])  # the second row stands for the baseline of the first

    def run():
        (trace,) = model.run(Rows(batch, start(model, batch).requires_grad_(True)), keep={"attention", "hidden"})
        outputs = model.readout(trace.site("hidden", 3), batch)
        return [*(trace.site("hidden", depth) for depth in range(4)), value(outputs, batch)]

    with DerivativeRules(RULES):
        ruled = run()
    assert all(torch.equal(one, other) for one, other in zip(ruled, run(), strict=True))


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_words_of_the_baseline_score_zero_and_neither_padding_nor_memory_matters(models, batches, single, family):
    model = models(family)
    batch = batches(model, [6, 4])
    batch = replace(batch, ids=torch.where(torch.arange(6) == 1, 1, batch.ids), cache={})  # of padding
    model.tokenizer.eos_token_id = 1
    whole = DeepLift("pad").explain(model, batch)
    with within_memory(1):
        split = DeepLift("pad").explain(model, batch)
    for row, (found, other) in enumerate(zip(whole, split, strict=True)):
        assert found.tokens[1] == 0 and np.delete(found.tokens, 1).all()
        (alone,) = DeepLift("pad").explain(model, single(batch, row))
        for view in ("tokens", "nodes"):
            np.testing.assert_allclose(getattr(other, view), getattr(found, view), rtol=1e-8, atol=1e-12)
            np.testing.assert_allclose(getattr(alone, view), getattr(found, view), rtol=1e-8, atol=1e-12)


def test_it_explains_where_gradients_are_off(models, batches):
    """As metrics that explain again do."""
    model = models("bert")
    (expected,) = DeepLift().explain(model, batches(model, [5]))
    with torch.no_grad():
        (found,) = DeepLift().explain(model, batches(model, [5]))
    assert found.tokens.tolist() == expected.tokens.tolist()
