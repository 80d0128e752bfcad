"""The gradient of a single mask is that of its loss."""

from __future__ import annotations

import torch
from tests.methods.masks.conftest import masked_divergence, short

from flowgauge.methods.masks.diffmask_single import DiffMaskSingle
from flowgauge.methods.masks.hard_concrete import HardConcrete
from flowgauge.methods.masks.mask_search import MaskProblem


def test_diffmasks_gradient_is_that_of_its_loss(counting):
    batch = short(counting, 4)
    method, problem = DiffMaskSingle(margin=0.05), MaskProblem(counting, batch, "zero")
    generator, weight = torch.Generator().manual_seed(0), torch.tensor([3.0, 0.5, 20.0], dtype=torch.float64)
    logits = torch.randn(problem.free.shape, generator=generator, dtype=torch.float64)
    uniform = torch.rand(problem.free.shape, generator=generator, dtype=torch.float64)

    def loss(x):
        return method.objective(problem, x, uniform, weight, {}).loss

    assert torch.autograd.gradcheck(loss, logits.requires_grad_())
    gates = HardConcrete(logits)
    lost = masked_divergence(counting, batch, gates.sample(uniform))
    sparse = (gates.kept() * problem.free).sum(1) / 4
    torch.testing.assert_close(loss(logits), weight * (lost - 0.05) + sparse)
