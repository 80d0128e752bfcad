"""Attention, the one step in which positions mix. Weights and mixing are separate, so that closed forms differentiate each."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

Rows = Float[Tensor, "rows tokens heads size"]
Queries = Float[Tensor, "rows queries heads size"]
Weights = Float[Tensor, "rows heads queries tokens"]
KeyMask = Bool[Tensor, "masks 1 asking tokens"] | None
"""Where a query attends to a key: for each row or for all of them, for each query or for all of them; None: everywhere."""


def key_mask(
    real: Bool[Tensor, "rows tokens"],
    causal: bool = False,
    window: int | None = None,
    at: Int[Tensor, "rows queries"] | None = None,
) -> KeyMask:
    """Which keys each query attends to. A query attends to itself in any case, so that padding has numbers, which nothing reads.

    Args:
        real: True at real tokens, which are next to one another.
        causal: Whether a query attends to keys at and before its position alone.
        window: A query attends to keys fewer than this many positions away alone; None: at any distance.
        at: The positions of the queries; None: every position.
    """
    padded = not bool(real.all())
    if not (causal or window):
        return real[:, None, None] if padded else None
    keys = torch.arange(real.shape[1], device=real.device)
    distance = (keys[None, :, None] if at is None else at[..., None]) - keys
    seen = torch.ones_like(distance, dtype=torch.bool)
    if causal:
        seen = seen & (distance >= 0)
    if window is not None:
        seen = seen & (distance.abs() < window)
    if padded:
        seen = (seen & real[:, None]) | (distance == 0)
    return seen[:, None]


def softmax(scores: Weights, mask: KeyMask) -> Weights:
    """P (R, A, Q, N) from the scores: softmax over the keys that each query attends to; its rows are queries and sum to 1."""
    return (scores if mask is None else scores.masked_fill(~mask, -torch.inf)).softmax(-1)


def mix(weights: Weights, value: Rows) -> Queries:
    """Context vectors of each head (R, Q, A, d): ctx[i] = sum_j P[i, j] v[j]."""
    return (weights @ value.transpose(1, 2)).transpose(1, 2)


def fused(query: Queries, key: Rows, value: Rows, scale: float, mask: KeyMask) -> Queries:
    """The context vectors of `mix(softmax(scale q k^T, mask), value)` in one kernel, which has no forward-mode derivative."""
    q, k, v = (x.transpose(1, 2) for x in (query, key, value))
    return scaled_dot_product_attention(q, k, v, attn_mask=mask, scale=scale).transpose(1, 2)
