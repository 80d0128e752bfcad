"""The one place where positions mix: scores, softmax and mixing, apart, so that closed forms can differentiate each."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention

Rows = Float[Tensor, "rows tokens heads size"]
Queries = Float[Tensor, "rows queries heads size"]
Weights = Float[Tensor, "rows heads queries tokens"]


def attention_weights(query: Queries, key: Rows, scale: float, mask: Bool[Tensor, "rows tokens"] | None) -> Weights:
    """softmax(scale q k^T) over the keys that are real tokens; rows are queries."""
    scores = query.transpose(1, 2) @ key.permute(0, 2, 3, 1) * scale
    if mask is not None:
        scores = scores.masked_fill(~mask[:, None, None], -torch.inf)
    return scores.softmax(-1)


def mix(weights: Weights, value: Rows) -> Queries:
    """Each head's context vector: ctx[i] = sum_j P[i, j] v[j]."""
    return (weights @ value.transpose(1, 2)).transpose(1, 2)


def fused(query: Queries, key: Rows, value: Rows, scale: float, mask: Bool[Tensor, "rows tokens"] | None) -> Queries:
    """The same context vectors in one kernel, where nobody needs the weights. It has no forward-mode derivative."""
    bias = None if mask is None else mask[:, None, None]
    q, k, v = (x.transpose(1, 2) for x in (query, key, value))
    return scaled_dot_product_attention(q, k, v, attn_mask=bias, scale=scale).transpose(1, 2)
