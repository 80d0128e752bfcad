"""The mean of the estimated gradient is the exact one."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from tests.methods.masks.conftest import masked_divergence, short

from flowgauge.methods.masks.mask_search import MaskProblem
from flowgauge.methods.masks.reinforce_mask import ReinforceMask


@pytest.mark.parametrize("words", [1, 3, 4])
@pytest.mark.parametrize("scale", ["none", "lambda"])
@pytest.mark.parametrize("average", [0.0, 0.7])
def test_the_mean_of_reinforces_estimate_is_the_exact_gradient(counting, words, scale, average):
    batch = short(counting, words)
    method, problem = ReinforceMask(reinforce_scale=scale, margin=0.05), MaskProblem(counting, batch, "zero")
    free = problem.free.bool()
    weight = torch.tensor([3.0, 0.5, 20.0], dtype=torch.float64)
    start = torch.randn(problem.free.shape, generator=torch.Generator().manual_seed(words), dtype=torch.float64)
    logits, estimate, exact = start.clone().requires_grad_(), torch.zeros_like(start), torch.zeros(3, dtype=torch.float64)
    places = [free[row].nonzero()[:, 0] for row in range(3)]
    for coins in product((0.0, 1.0), repeat=words):
        keep = torch.zeros_like(start)
        for row, at in enumerate(places):
            keep[row, at] = torch.tensor(coins, dtype=torch.float64)
        share = torch.where(keep == 1, torch.sigmoid(logits), 1 - torch.sigmoid(logits))
        chance = torch.where(free, share, 1.0).prod(1)
        uniform = torch.where(keep == 1, 0.0, 1.0)  # below any probability, above any
        state = {"average": torch.full((3,), average, dtype=torch.float64)}
        found = method.objective(problem, logits, uniform, weight, state)
        (grad,) = torch.autograd.grad(found.loss.sum(), logits)
        estimate += chance.detach()[:, None] * grad
        lost = masked_divergence(counting, batch, keep)
        torch.testing.assert_close(found.divergence, lost)
        torch.testing.assert_close(state["average"], 0.99 * average + 0.01 * (lost - 0.05))
        exact = exact + chance * (lost - 0.05)
    scaled = exact * (weight if scale == "lambda" else 1)
    sparse = torch.where(free, torch.sigmoid(logits), 0).sum(1) / words
    (wanted,) = torch.autograd.grad((scaled + sparse).sum(), logits)
    torch.testing.assert_close(estimate, wanted, rtol=1e-9, atol=1e-12)
    assert (wanted[free].abs() > 1e-3).any() and (estimate[~free] == 0).all()
