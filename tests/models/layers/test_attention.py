"""Attention: weights over real tokens, mixing, and the fused kernel."""

from __future__ import annotations

import torch

from flowgauge.models.layers.attention import fused, key_mask, mix, softmax


def vectors(*shape: int, seed: int = 0) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(*shape, dtype=torch.float64, generator=generator) for _ in range(3)]


def test_weights_are_a_softmax_over_real_tokens_by_hand() -> None:
    query = torch.tensor([[[[1.0]], [[0.0]], [[5.0]]]])  # one row, three tokens, one head of width 1
    key = torch.tensor([[[[0.0]], [[2.0]], [[9.0]]]])
    scores = torch.einsum("riad,rjad->raij", query, key) * 0.5
    weights = softmax(scores, key_mask(torch.tensor([[True, True, False]])))
    e = torch.tensor(1.0).exp()
    torch.testing.assert_close(weights[0, 0, 0], torch.tensor([1 / (1 + e), e / (1 + e), 0.0]))
    torch.testing.assert_close(weights[0, 0, 1], torch.tensor([0.5, 0.5, 0.0]))


def test_the_fused_kernel_gives_the_same_context_vectors() -> None:
    query, key, value = vectors(2, 5, 4, 3)
    mask = torch.arange(5) < torch.tensor([[5], [3]])
    for causal, window, real in ((False, None, mask), (True, 2, mask), (True, None, mask | True), (False, None, mask | True)):
        seen = key_mask(real, causal, window)
        weights = softmax(torch.einsum("riad,rjad->raij", query, key) * 0.7, seen)
        expected = mix(weights, value)
        torch.testing.assert_close(fused(query, key, value, 0.7, seen), expected, rtol=0, atol=1e-12)
        torch.testing.assert_close(expected[1, 0, 2], weights[1, 2, 0] @ value[1, :, 2], rtol=0, atol=1e-12)


def test_masks_are_causal_windowed_and_leave_out_padding_on_either_side() -> None:
    right = torch.tensor([[True, True, True, False], [True, True, True, True]])
    assert key_mask(right[1:]) is None and key_mask(right).shape == (2, 1, 1, 4)
    assert key_mask(right[1:], causal=True)[0, 0].tolist() == torch.ones(4, 4).tril().bool().tolist()
    near = (torch.arange(4)[:, None] - torch.arange(4)).abs() < 2
    assert key_mask(right[1:], window=2)[0, 0].tolist() == near.tolist()
    both = key_mask(right.flip(1), causal=True, window=2)
    assert both[0, 0, 2:].tolist() == [[False, True, True, False], [False, False, True, True]]
    assert both[0, 0, 0].tolist() == [True, False, False, False]  # padding attends to itself, so that nothing is NaN
    one = key_mask(right, causal=True, at=torch.tensor([[2], [1]]))
    assert one[:, 0, 0].tolist() == [[True, True, True, False], [True, True, False, False]]
