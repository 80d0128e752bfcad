"""Centred RMSprop against torch's own."""

from __future__ import annotations

import math

import numpy as np
import torch

from flowgauge.methods.centred_rmsprop import CentredRMSprop


def test_descent_is_torch_s_centred_rmsprop() -> None:
    torch.manual_seed(0)
    ours, theirs = (torch.ones(4, dtype=torch.float64, requires_grad=True) for _ in range(2))
    peer = torch.optim.RMSprop([theirs], lr=1e-2, alpha=0.99, eps=1e-8, centered=True)
    descent = CentredRMSprop({"x": 1e-2})
    for noise in torch.randn(50, 4, dtype=torch.float64):
        for x in (ours, theirs):
            ((x + noise) ** 2).sum().backward()
        peer.step()
        descent.step({"x": ours})
        theirs.grad = None
    np.testing.assert_allclose(ours.detach(), theirs.detach(), rtol=1e-9)


def test_rates_rise_over_the_warmup() -> None:
    lengths = []
    for warmup in (0, 4):
        x, descent, walk = (
            torch.zeros(1, dtype=torch.float64, requires_grad=True),
            CentredRMSprop({"x": 1e-2}, warmup=warmup),
            [0.0],
        )
        for grad in (1.0, -2.0, 0.5, 1.0, -1.0, 2.0):
            x.grad = torch.tensor([grad], dtype=torch.float64)
            descent.step({"x": x})
            walk.append(x.item())
        lengths.append(np.diff(walk))
    np.testing.assert_allclose(lengths[1] / lengths[0], [1 / 4, 2 / 4, 3 / 4, 1, 1, 1])


def test_descent_survives_constant_and_broken_gradients_and_leaves_others() -> None:
    x, other = torch.zeros(2, requires_grad=True), torch.ones(1, requires_grad=True)
    descent = CentredRMSprop({"x": 1e-3, "other": 1e-3}, warmup=10)
    for step in range(3000):
        x.grad = torch.tensor([1.0, math.nan if step == 5 else -1.0])
        descent.step({"x": x, "other": other})
    assert x.isfinite().all()
    assert x[0] < 0 < x[1]
    assert x.abs().max() <= 3000 * 0.1
    assert other.item() == 1
    assert "mean.other" not in descent.state


def test_parameters_that_start_anew_forget_their_means_and_move_half_as_far() -> None:
    x, other = (torch.zeros(1, dtype=torch.float64, requires_grad=True) for _ in range(2))
    descent, lengths = CentredRMSprop({"x": 1e-2, "other": 1e-2}, warmup=2), []
    for _ in range(2):
        before = x.item()
        x.grad, other.grad = (torch.ones(1, dtype=torch.float64) for _ in range(2))
        descent.step({"x": x, "other": other})
        lengths.append(x.item() - before)
        descent.restart(["x"], 2.0)
    assert lengths[1] == lengths[0] / 2 and descent.rates == {"x": 2.5e-3, "other": 1e-2}
    assert descent.state.keys() == {"mean.other", "square.other"}
