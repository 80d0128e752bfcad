"""Feed-forward blocks, plain and gated: values from their inner units, and derivatives in closed form."""

from __future__ import annotations

import pytest
import torch
from torch.func import jvp, vjp
from torch.nn.functional import silu

from flowgauge.models.layers.feed_forward import FeedForward


@pytest.mark.parametrize("gated", [False, True])
def test_values_and_derivatives(gated) -> None:
    generator = torch.Generator().manual_seed(0)
    linear = lambda into, out: torch.nn.Linear(into, out, dtype=torch.float64).requires_grad_(False)  # noqa: E731
    inner, outer, gate = linear(4, 6), linear(6, 4), linear(4, 6)
    block = FeedForward(inner, silu, outer, gate if gated else None)
    x, t = (torch.randn(7, 4, generator=generator, dtype=torch.float64) for _ in range(2))
    tape: dict = {}
    expected = outer(silu(inner(x)) * (gate(x) if gated else 1))
    torch.testing.assert_close(block(x, tape), expected)
    slopes, at = block.slopes(tape), torch.tensor([5, 1])
    torch.testing.assert_close(slopes.jvp(at, t[:2]), jvp(block, (x[at],), (t[:2],))[1])
    torch.testing.assert_close(slopes.vjp(at, t[:2]), vjp(block, x[at])[1](t[:2])[0])
    torch.testing.assert_close(slopes.cut(slice(1, 6)).vjp(at - 1, t[:2]), slopes.vjp(at, t[:2]))
