"""Layers that normalise after each residual: lines of streams, and the transpose of the output projection."""

from __future__ import annotations

import pytest
import torch


@pytest.mark.parametrize("family", ["bert", "gpt2", "llama"])
def test_feeding_a_line_of_attention_outputs_equals_finishing_each(models, family):
    layer = models(family).layers[1]
    generator = torch.Generator().manual_seed(2)
    skip = torch.randn(2, 5, 16, dtype=torch.float64, generator=generator)
    start, end = (torch.randn(2, 5, 4, 4, dtype=torch.float64, generator=generator) for _ in range(2))
    alpha = torch.tensor([0.0, 0.3, 1.0], dtype=torch.float64)
    contexts = (start[:, None] + alpha[:, None, None, None] * (end - start)[:, None]).flatten(0, 1)
    each = layer.finish(skip.repeat_interleave(3, 0), contexts)
    low, high = layer.attention.attended(start), layer.attention.attended(end)
    assert torch.allclose(layer.feed(skip, low, high - low, alpha), each, atol=1e-12)


@pytest.mark.parametrize("family", ["bert", "gpt2", "llama"])
def test_the_gradient_of_context_vectors_is_the_transpose_of_the_output_projection(models, family):
    layer = models(family).layers[0]
    generator = torch.Generator().manual_seed(3)
    grad = torch.randn(2, 16, dtype=torch.float64, generator=generator)
    context = torch.randn(2, 4, 4, dtype=torch.float64, generator=generator)
    change = layer.attention.attended(context) - layer.attention.attended(torch.zeros_like(context))
    assert torch.allclose((layer.attention.attended_vjp(grad) * context).sum(), (grad * change).sum(), atol=1e-12)


def test_the_steps_of_the_residual_make_the_layer(models) -> None:
    layer = models("bert").layers[1]
    skip, context = (torch.randn(*shape, dtype=torch.float64) for shape in ((2, 3, 16), (2, 3, 4, 4)))
    middle = layer.merged(skip, layer.attention.attended(context))
    assert not layer.parallel
    torch.testing.assert_close(layer.left(middle, layer.fed(middle)), layer.finish(skip, context))
