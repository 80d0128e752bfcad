"""LayerNorm and RMSNorm: equal to the modules that they are read from, and differentiated in closed form."""

from __future__ import annotations

import pytest
import torch
from torch.func import jvp, vjp
from transformers.models.gemma2.modeling_gemma2 import Gemma2RMSNorm
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from flowgauge.models.layers import norms
from flowgauge.models.layers.norms import layer_norm_of, rms_norm_of

MODULES = {
    "LayerNorm": lambda: layer_norm_of(torch.nn.LayerNorm(8, eps=1e-3)),
    "no bias": lambda: layer_norm_of(torch.nn.LayerNorm(8, bias=False)),
    "no weight": lambda: layer_norm_of(torch.nn.LayerNorm(8, elementwise_affine=False)),
    "RMSNorm": lambda: rms_norm_of(LlamaRMSNorm(8, 1e-3)),
    "shifted": lambda: rms_norm_of(Gemma2RMSNorm(8, 1e-3), shift=1.0),
}


@pytest.mark.parametrize("kind", MODULES)
def test_values_and_derivatives(kind) -> None:
    norm = MODULES[kind]()
    generator = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, generator=generator, dtype=torch.float64)  # noqa: E731
    for parameter in norm.module.parameters():
        parameter.data = parameter.data.double() + 0.3 * draw(8)
    norm.module.requires_grad_(False)
    x, tangent, at = draw(5, 2, 8), draw(3, 8), torch.tensor([9, 0, 4])
    torch.testing.assert_close(norm(x), norm.module(x), atol=1e-6, rtol=1e-6)  # transformers computes RMSNorm in float32
    slopes, inputs = norm.slopes(x), x.flatten(0, 1)[at]
    torch.testing.assert_close(slopes.jvp(at, tangent), jvp(norm, (inputs,), (tangent,))[1], atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(slopes.vjp(at, tangent), vjp(norm, inputs)[1](tangent)[0], atol=1e-12, rtol=1e-12)
    torch.testing.assert_close(slopes.cut(slice(4, 10)).jvp(at[::2] - 4, tangent[::2]), slopes.jvp(at, tangent)[::2])
    by_head = norm.slopes(x).by_head(2)
    torch.testing.assert_close(by_head.jvp(torch.tensor([2]), x[2:3]), jvp(norm, (x[2:3],), (x[2:3],))[1])


def test_no_norm_changes_nothing() -> None:
    x = torch.randn(3, 8)
    assert norms.jvp(None, None, x) is x and norms.vjp(None, None, x) is x
