"""Attention: weights over real tokens, mixing, and the fused kernel."""

from __future__ import annotations

import torch

from flowgauge.models.flow.attention import attention_weights, fused, mix


def vectors(*shape: int, seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(*shape, dtype=torch.float64, generator=generator) for _ in range(3)]


def test_weights_are_a_softmax_over_real_tokens_by_hand() -> None:
    query = torch.tensor([[[[1.0]], [[0.0]], [[5.0]]]])  # one row, three tokens, one head of width 1
    key = torch.tensor([[[[0.0]], [[2.0]], [[9.0]]]])
    weights = attention_weights(query, key, 0.5, torch.tensor([[True, True, False]]))
    e = torch.tensor(1.0).exp()
    torch.testing.assert_close(weights[0, 0, 0], torch.tensor([1 / (1 + e), e / (1 + e), 0.0]))
    torch.testing.assert_close(weights[0, 0, 1], torch.tensor([0.5, 0.5, 0.0]))


def test_the_fused_kernel_gives_the_same_context_vectors() -> None:
    query, key, value = vectors(2, 5, 4, 3)
    mask = torch.arange(5) < torch.tensor([[5], [3]])
    for padding in (mask, None):
        expected = mix(attention_weights(query, key, 0.7, padding), value)
        torch.testing.assert_close(fused(query, key, value, 0.7, padding), expected, rtol=0, atol=1e-12)
        by_hand = attention_weights(query, key, 0.7, padding)[1, 2, 0] @ value[1, :, 2]
        torch.testing.assert_close(expected[1, 0, 2], by_hand, rtol=0, atol=1e-12)
