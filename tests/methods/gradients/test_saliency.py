"""Saliency and gradient times input against gradients of torch."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from flowgauge.core.errors import UsageError
from flowgauge.methods.gradients.saliency import GradientXInput, Saliency
from flowgauge.models.outputs import value


def test_scores_are_norms_and_products_of_the_gradient(model, batch) -> None:
    words = model.words(batch).detach().requires_grad_(True)
    (gradient,) = torch.autograd.grad(value(model.outputs(replace(batch, word_vectors=words, cache={})), batch).sum(), [words])
    maskable = model.maskable(batch)
    expected: dict[Any, torch.Tensor] = {
        Saliency(): gradient.norm(dim=-1),
        Saliency("l1"): gradient.abs().sum(-1),
        GradientXInput(): (gradient * words.detach()).sum(-1),
    }
    for method, scores in expected.items():
        for row, explanation in enumerate(method.explain(model, batch)):
            wanted = (scores * maskable)[row, : batch.lengths[row]]
            assert explanation.tokens == pytest.approx(wanted.double().numpy(), rel=1e-6, abs=1e-9)
            assert abs(explanation.tokens).max() > 0


def test_other_norms_are_refused() -> None:
    with pytest.raises(UsageError, match="norm must be l1 or l2, got 'max'"):
        Saliency("max")
