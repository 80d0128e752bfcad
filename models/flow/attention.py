"""Attention, the one step in which positions mix. Weights and mixing are separate, so that closed forms differentiate each."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

Rows = Float[Tensor, "rows tokens heads size"]
Queries = Float[Tensor, "rows queries heads size"]
Weights = Float[Tensor, "rows heads queries tokens"]


def attention_weights(query: Queries, key: Rows, scale: float, mask: Bool[Tensor, "rows tokens"] | None) -> Weights:
    """softmax(scale q k^T) over the keys that are real tokens.

    Args:
        query: Query vectors (R, Q, A, d).
        key: Key vectors (R, N, A, d).
        scale: Factor of the scores.
        mask: True at real tokens; None: no padding.

    Returns:
        P (R, A, Q, N); its rows are queries and sum to 1.
    """
    scores = query.transpose(1, 2) @ key.permute(0, 2, 3, 1) * scale
    if mask is not None:
        scores = scores.masked_fill(~mask[:, None, None], -torch.inf)
    return scores.softmax(-1)


def mix(weights: Weights, value: Rows) -> Queries:
    """Context vectors of each head (R, Q, A, d): ctx[i] = sum_j P[i, j] v[j]."""
    return (weights @ value.transpose(1, 2)).transpose(1, 2)


def fused(query: Queries, key: Rows, value: Rows, scale: float, mask: Bool[Tensor, "rows tokens"] | None) -> Queries:
    """The context vectors of `mix(attention_weights(...), value)` in one kernel, which has no forward-mode derivative."""
    bias = None if mask is None else mask[:, None, None]
    q, k, v = (x.transpose(1, 2) for x in (query, key, value))
    return scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=scale).transpose(1, 2)
