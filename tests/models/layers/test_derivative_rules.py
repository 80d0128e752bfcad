"""Values that stay to the last bit, derivatives by hand, and where rules hold."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional
from transformers.activations import ACT2FN

from flowgauge.models.layers.derivative_rules import DerivativeRules, activated, norm_rules, with_derivative
from flowgauge.models.layers.feed_forward import FeedForward


def numbers(*shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64).requires_grad_(True)


def triple(function, x, *args):
    return with_derivative(function(x, *args), 3 * x)


def constant(x, eps):
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps).detach()


def test_a_value_keeps_every_bit_and_has_the_other_derivative():
    x = numbers(1000)
    y = with_derivative(x.exp() / 3, x.sin() * 1e9)
    assert torch.equal(y, x.exp() / 3)
    assert torch.equal(torch.autograd.grad(y.sum(), x)[0], torch.autograd.grad((x.sin() * 1e9).sum(), x)[0])


def test_rules_hold_inside_the_block_and_not_inside_a_rule():
    x = numbers(4)

    def nested(function, y):
        return function(torch.tanh(y))

    with DerivativeRules({torch.tanh: triple, torch.exp: nested}):
        ruled, inside, free = torch.tanh(x), torch.exp(x), x.sin()
    after = torch.tanh(x)
    for y, expected in ((ruled, 3 + 0 * x), (free, x.cos()), (after, 1 - after**2), (inside, (1 - after**2) * inside)):
        assert torch.allclose(torch.autograd.grad(y.sum(), x, retain_graph=True)[0], expected, rtol=1e-14)


@pytest.mark.parametrize("name", ["gelu_new", "quick_gelu", "silu", "relu"])
def test_an_activation_function_is_one_function_whatever_it_is_composed_of(name):
    x, identity = numbers(2, 3), torch.nn.Identity()
    block, seen = FeedForward(identity, ACT2FN[name], identity), []

    def note(function, inner, act):
        seen.append(act)
        return triple(function, inner, act)

    with DerivativeRules({activated: note}):
        y = block(x)
    assert seen == [block.act] and torch.equal(y, block.act(x))
    assert torch.autograd.grad(y.sum(), x)[0].eq(3).all()


def test_norms_by_hand_and_to_the_last_bit():
    x, weight, bias = torch.tensor([3.0, -1.0]).requires_grad_(True), torch.tensor([2.0, 1.0]), torch.tensor([5.0, 7.0])
    with DerivativeRules(norm_rules(constant)):
        centred = functional.layer_norm(x, (2,), weight, bias, 0.0)
        root = functional.rms_norm(x, (2,), weight, 0.0)
    # mean 1 and deviation 2: unit (1, -1), and 2 (1 - 1/2) / 2, 2 (-1/2) / 2 of the first; root mean square sqrt(5)
    assert centred.tolist() == [7, 6]
    assert torch.autograd.grad(centred[0], x)[0].tolist() == [0.5, -0.5]
    assert torch.autograd.grad(root[0], x)[0].tolist() == pytest.approx([2 / 5**0.5, 0])
    y, module = numbers(5, 8), torch.nn.LayerNorm(8, dtype=torch.float64)
    with DerivativeRules(norm_rules(constant)):
        ruled, scaled = module(y), functional.rms_norm(y, (8,), None, 1e-3)
    assert torch.equal(ruled, module(y)) and torch.equal(scaled, functional.rms_norm(y, (8,), None, 1e-3))
    unit = 1 / (y - y.mean(-1, keepdim=True)).square().mean(-1, keepdim=True).add(module.eps).sqrt()
    assert torch.autograd.grad(ruled.sum(), y, retain_graph=True)[0].abs().max() < 1e-14
    assert torch.allclose(torch.autograd.grad(ruled[:, 0].sum(), y)[0][:, :1], unit * 7 / 8, rtol=1e-13)
