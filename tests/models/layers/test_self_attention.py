"""Self-attention of any kind: grouped heads, soft caps, windows and one position alone, by hand."""

from __future__ import annotations

import pytest
import torch

from flowgauge.models.layers.self_attention import SelfAttention


def attention(heads: int = 4, key_heads: int | None = None, **kind) -> SelfAttention:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        sizes = (12, 3 * (key_heads or heads), 3 * (key_heads or heads))
        query, key, value = (torch.nn.Linear(10, size, dtype=torch.float64).requires_grad_(False) for size in sizes)
        output = torch.nn.Linear(12, 10, dtype=torch.float64).requires_grad_(False)
    return SelfAttention(query, key, value, output, heads, 0.6, key_heads=key_heads, **kind)


STATES = torch.randn(2, 5, 10, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
REAL = torch.tensor([[True] * 5, [True] * 3 + [False] * 2])
POSITIONS = torch.arange(5).expand(2, 5)


@pytest.mark.parametrize("key_heads", [None, 2, 1])
@pytest.mark.parametrize("kind", [{}, {"causal": True}, {"cap": 0.5}, {"causal": True, "window": 2, "cap": 2.0}])
def test_context_vectors_by_hand(key_heads, kind) -> None:
    y = attention(key_heads=key_heads, **kind)
    query, key, value = y.project(STATES, POSITIONS)
    assert key.shape[2] == (key_heads or 4)
    mask = y.mask(REAL)
    found = y.context(query, y.shared(key), y.shared(value), mask)
    mixed = y.weights(query, y.shared(key), mask) @ y.shared(value).transpose(1, 2)
    torch.testing.assert_close(found, mixed.transpose(1, 2))
    row, i, head = 1, 2, 3
    shared = head // (4 // (key_heads or 4))
    scores = torch.stack([query[row, i, head] @ key[row, j, shared] * 0.6 for j in range(5)])
    scores = scores if "cap" not in kind else kind["cap"] * torch.tanh(scores / kind["cap"])
    seen = [j for j in range(3) if (not kind.get("causal") or j <= i) and abs(i - j) < kind.get("window", 9)]
    expected = sum(w * value[row, j, shared] for w, j in zip(scores[seen].softmax(0), seen, strict=True))
    torch.testing.assert_close(found[row, i, head], expected)


def test_sums_over_groups_are_the_transpose_of_sharing() -> None:
    y = attention(key_heads=2)
    vectors, grads = torch.randn(3, 2, 3), torch.randn(3, 4, 3)
    torch.testing.assert_close((y.shared(vectors) * grads).sum(), (vectors * y.summed(grads)).sum())


@pytest.mark.parametrize("causal", [False, True])
def test_one_position_without_keys_and_values_of_the_others(causal) -> None:
    y, at = attention(causal=causal), torch.tensor([[3], [1]])
    assert y.plain and not attention(key_heads=2).plain and not attention(cap=1.0).plain
    query, key, value = y.project(STATES, POSITIONS)
    whole = y.context(query, key, value, y.mask(REAL))
    asking = STATES[torch.arange(2), at[:, 0]][:, None]
    found = y.context_once(asking, STATES, y.mask(REAL, at))
    torch.testing.assert_close(found[:, 0], whole[torch.arange(2), at[:, 0]])


def test_the_slope_of_the_soft_cap_is_its_derivative() -> None:
    y = attention(cap=0.5)
    query, key, _ = y.project(STATES, POSITIONS)
    scores = y.scores(query, key).requires_grad_(True)
    (slope,) = torch.autograd.grad((0.5 * torch.tanh(scores / 0.5)).sum(), scores)
    torch.testing.assert_close(y.slope(query, key), slope)
    assert attention().slope(query, key) is None


@pytest.mark.parametrize("key_heads", [None, 2, 1])
def test_each_head_may_read_an_input_of_its_own(key_heads) -> None:
    y = attention(key_heads=key_heads)
    whole = y.project(STATES, POSITIONS)
    copies = STATES[:, :, None].expand(-1, -1, 4, -1)
    same = y.each(copies, copies, copies, POSITIONS)
    for one, other in zip(same, (whole.query, y.shared(whole.key), y.shared(whole.value)), strict=True):
        torch.testing.assert_close(one, other)
    moved = copies.clone()
    moved[:, :, 2] += 1
    apart = y.each(copies, moved, copies, POSITIONS)
    assert torch.equal(apart.query, same.query) and torch.equal(apart.value, same.value)
    differs = (apart.key != same.key).flatten(3).any(-1).any(0).any(0).tolist()
    assert differs == [False, False, True, False]
    torch.testing.assert_close(apart.key[:, :, 2], y.shared(y.project(STATES + 1, POSITIONS).key)[:, :, 2])


def test_heads_and_the_bias_sum_to_the_output() -> None:
    y = attention()
    context = torch.randn(2, 5, 4, 3, dtype=torch.float64)
    torch.testing.assert_close(y.outputs(context).sum(-2) + y.output.bias, y.output(context.flatten(-2)))
