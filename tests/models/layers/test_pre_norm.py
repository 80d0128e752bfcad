"""Layers that normalise before each block, by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.func import jvp, vjp

from flowgauge.models.layers.norms import layer_norm_of
from flowgauge.models.layers.pre_norm import PreNorm


def layer_of(models, *variants: str) -> PreNorm:
    layer = models("gpt2").layers[1]
    norm = lambda: layer_norm_of(torch.nn.LayerNorm(16, dtype=torch.float64).requires_grad_(False))  # noqa: E731
    posts = {name: norm() for name in ("post1", "post2") if name in variants}
    return replace(layer, parallel="parallel" in variants, **posts, **({"norm1": None} if "no norm1" in variants else {}))


@pytest.mark.parametrize("variants", [(), ("parallel",), ("post1", "post2"), ("no norm1",), ("parallel", "post1")])
def test_values_and_derivatives_by_hand(models, variants) -> None:
    layer = layer_of(models, *variants)
    generator = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    skip, context, positions = draw(2, 3, 16), draw(2, 3, 4, 4), torch.arange(3).expand(2, 3)
    post1, post2 = layer.post1 or (lambda x: x), layer.post2 or (lambda x: x)
    middle = skip + post1(layer.attention.output(context.flatten(-2)))
    expected = middle + post2(layer.ff(layer.norm2(skip if layer.parallel else middle)))
    tape: dict = {}
    torch.testing.assert_close(layer.finish(skip, context, tape), expected)
    assert torch.equal(layer.normed(skip), skip if layer.norm1 is None else layer.norm1(skip))
    tangents, at = layer.tangents(skip, context, positions, tape), torch.tensor([4, 0])
    rows = (skip.flatten(0, 1)[at], context.flatten(0, 1)[at])
    moved = (draw(2, 16), draw(2, 4, 4))
    torch.testing.assert_close(tangents.finish_jvp(at, *moved), jvp(layer.finish, rows, moved)[1])
    for found, right in zip(tangents.finish_vjp(at, moved[0]), vjp(layer.finish, *rows)[1](moved[0]), strict=True):
        torch.testing.assert_close(found, right)


@pytest.mark.parametrize("variants", [(), ("parallel",), ("post1", "post2"), ("no norm1",), ("parallel", "post1")])
def test_the_steps_of_the_residual_make_the_layer(models, variants) -> None:
    layer = layer_of(models, *variants)
    skip, context = (torch.randn(*shape, dtype=torch.float64) for shape in ((2, 3, 16), (2, 3, 4, 4)))
    middle = layer.merged(skip, layer.attention.attended(context))
    fed = layer.fed(skip if layer.parallel else middle)
    torch.testing.assert_close(layer.left(middle, fed), layer.finish(skip, context))
