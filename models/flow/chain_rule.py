"""The chain rule along patterns, in closed form, at single positions.

A pattern's tangent lives at one position a layer (k positions for a bundle), so a whole layer's Jacobian is never needed. With
P the attention, s the scale, ctx_i = sum_j P[i, j] v_j, a tangent (dq, dk, dv) of the projections at position p moves ctx_i by

    P[i, p] dv + W[i, p] s <q_i, dk> (v_p - ctx_i)                   through value and key, any i
    sum_j W[i, j] s <dq, k_j> (v_j - ctx_i)                          through the query, only i = p

where W = P, times the derivative of the soft cap of scores where a model has one. Scores of distances that queries or keys
multiply (DeBERTa) are added to s <q_i, dk> and s <dq, k_j>.

Everything here is per head and sample, batched over instances and patterns. Source: design of Lu et al. 2021, section 3;
the split of one layer into position-wise parts and attention is what makes it cheap.

Letters: B instances, R = B S rows, M patterns an instance, F and T nodes a pattern has at the lower and the upper layer.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..layers.base import Projected, select
from .trace import PathTrace

# The unnamed axis is k; sources and targets of one step may differ in it.
Nodes = Int[Tensor, "batch patterns _"]
State = Float[Tensor, "rows patterns _ hidden"]


class EdgeScores(NamedTuple):
    """Influence through each candidate edge, summed over all later paths (units of q)."""

    heads: Float[Tensor, "batch heads tokens sources"]
    """[b, a, i, m]: through head a from source m to position i."""
    skip: Float[Tensor, "batch sources"]
    """Through the skip node, which leads to the source's own position only."""


def edge_scores(
    trace: PathTrace, layer: int, position: Int[Tensor, "batch sources"], tangent: Tensor, moved: Projected
) -> EdgeScores:
    """Influence from tangents at positions of hidden[layer] to every position of the next layer, head by head.

    Args:
        trace: Path samples.
        layer: l.
        position: The position of each source (B, M).
        tangent: The tangent of each source (R, M, D).
        moved: The tangents of query, key and value vectors, from `project`.
    """
    q, k, v = (x.transpose(1, 2) for x in trace.projected[layer])  # (R, A, N, d)
    weights, response = trace.attention[layer], trace.response[layer]
    grad = trace.grad_context[layer]
    grad_heads = grad.transpose(1, 2)
    dq, dk, dv = (x.transpose(1, 2) for x in moved)  # (R, A, M, d)
    at = trace.at(position)
    centre = (trace.context[layer] * grad).sum(-1)  # (R, N, A): <ctx_i, G_i>
    v_at = select(trace.projected[layer].value.flatten(0, 1), at).permute(0, 2, 3, 1)  # (R, A, d, M)
    spread = position.repeat_interleave(trace.samples, 0)
    through = (grad_heads @ v_at).sub_(centre.transpose(1, 2)[..., None])
    through.mul_(_scores_of_keys(trace, layer, q, dk, spread))
    by_value = grad_heads @ dv.transpose(2, 3)
    if response is weights:
        through.add_(by_value).mul_(_columns_of(weights, spread))
    else:
        through.mul_(_columns_of(response, spread)).addcmul_(by_value, _columns_of(weights, spread))
    grad_at = select(grad.flatten(0, 1), at).transpose(1, 2)  # (R, A, M, d)
    by_query = (grad_at @ v.transpose(2, 3)).sub_(select(centre.flatten(0, 1), at).transpose(1, 2)[..., None])
    by_query.mul_(_scores_of_queries(trace, layer, dq, k, spread)).mul_(_rows_of(response, spread))
    own = by_query.sum(-1)  # (R, A, M): through the query, i = p
    heads = trace.mean(through)
    index = position[:, None, None].expand(-1, heads.shape[1], 1, -1)
    heads.scatter_add_(2, index, trace.mean(own)[:, :, None])
    skip = (tangent * select(trace.grad_skip[layer].flatten(0, 1), at)).sum(-1)
    return EdgeScores(heads, trace.mean(skip))


def _rows_of(weights: Float[Tensor, "rows heads tokens tokens"], position: Int[Tensor, "rows nodes"]) -> Tensor:
    """P[i, :] for each node's own position i: (R, A, M, N)."""
    return weights.gather(2, position[:, None, :, None].expand(-1, weights.shape[1], -1, weights.shape[3]))


def _columns_of(weights: Float[Tensor, "rows heads tokens tokens"], position: Int[Tensor, "rows nodes"]) -> Tensor:
    """P[:, p] for each node's own position p: (R, A, N, M)."""
    return weights.gather(3, position[:, None, None].expand(-1, weights.shape[1], weights.shape[2], -1))


def _scores_of_keys(trace: PathTrace, layer: int, query: Tensor, key: Tensor, at: Int[Tensor, "rows nodes"]) -> Tensor:
    """Tangents of the scores that every query gives, from tangents of the keys at some positions: (R, A, N, M)."""
    attention = trace.model.layers[layer].attention
    scores = (query @ key.transpose(2, 3)).mul_(attention.scale)
    added = None if attention.relative is None else attention.relative.keyed(key, at, None, query.shape[2])
    return scores if added is None else scores.add_(added.transpose(2, 3))


def _scores_of_queries(trace: PathTrace, layer: int, query: Tensor, key: Tensor, at: Int[Tensor, "rows nodes"]) -> Tensor:
    """Tangents of the scores of every key, from tangents of the queries at some positions: (R, A, M, N)."""
    attention = trace.model.layers[layer].attention
    scores = (query @ key.transpose(2, 3)).mul_(attention.scale)
    added = None if attention.relative is None else attention.relative.asking(query, at, key.shape[2])
    return scores if added is None else scores.add_(added)


def project(trace: PathTrace, layer: int, nodes: Nodes, tangent: State) -> Projected:
    """Tangents of query, key and value vectors from tangents of hidden[layer] at the nodes."""
    return trace.tangents[layer].project_jvp(trace.at(nodes), tangent)


def context_tangents(
    trace: PathTrace, layer: int, source: Nodes, to: Nodes, moved: Projected
) -> Float[Tensor, "rows m t f heads size"]:
    """Tangents of the context vectors at `to` from each source.

    Args:
        trace: Path samples.
        layer: l.
        source: Positions in hidden[layer] (B, M, F).
        to: Positions in hidden[layer + 1] (B, M, T).
        moved: The tangents of query, key and value vectors at the sources.

    Returns:
        [r, m, to, from, a, :]
    """
    projected, context, weights = trace.projected[layer], trace.context[layer], trace.attention[layer]
    at_source, at_to = trace.at(source), trace.at(to)
    n = weights.shape[-1]
    pair = at_to[..., :, None] * n + source.repeat_interleave(trace.samples, 0)[..., None, :]  # row, i, p
    weight = _of_pairs(weights, pair)
    q = select(projected.query.flatten(0, 1), at_to)[..., :, None, :, :]
    v = select(projected.value.flatten(0, 1), at_source)[..., None, :, :, :]
    c = select(context.flatten(0, 1), at_to)[..., :, None, :, :]
    key, value = moved.key[..., None, :, :, :], moved.value[..., None, :, :, :]
    score = (q * key).sum(-1, keepdim=True) * trace.model.layers[layer].attention.scale
    distances = _pair_scores(trace, layer, source, to, moved.key)
    score = score if distances is None else score + distances
    if trace.response[layer] is trace.attention[layer]:
        out = (v - c).mul_(score).add_(value).mul_(weight)
    else:
        out = (v - c).mul_(score).mul_(_of_pairs(trace.response[layer], pair)).addcmul_(value, weight)
    staying, same = _staying(source, to)
    if len(staying):
        own = _own_query(trace, layer, source[:, staying], moved.query[:, staying])[..., None, :, :, :]
        out.index_add_(1, staying, own * _spread(trace, same)[..., None, None].to(out.dtype))
    return out


def _staying(source: Nodes, to: Nodes) -> tuple[Int[Tensor, " staying"], Bool[Tensor, "batch staying t f"]]:
    """The patterns with a source that is one of the targets too, in any instance, and where they have one."""
    same = to[..., :, None] == source[..., None, :]
    staying = same.flatten(2).any(2).any(0).nonzero()[:, 0]
    return staying, same[:, staying]


def _of_pairs(weights: Float[Tensor, "rows heads tokens tokens"], pair: Int[Tensor, "rows m t f"]) -> Tensor:
    """P[i, p] for pairs (row, i, p): (R, M, T, F, A, 1)."""
    return select(weights.transpose(1, 2).transpose(2, 3).flatten(0, 2), pair)[..., None]


def _flat_pairs(trace: PathTrace, source: Nodes, to: Nodes) -> tuple[Tensor, Tensor]:
    """The positions of all sources (R, M F), and those of the targets of each (R, M F, T)."""
    at = _spread(trace, source.flatten(1))
    targets = to[:, :, None].expand(-1, -1, source.shape[2], -1).flatten(1, 2)
    return at, _spread(trace, targets)


def _pair_scores(trace: PathTrace, layer: int, source: Nodes, to: Nodes, key: Tensor) -> Tensor | None:
    """Tangents of scores of distances from tangents of the keys (R, M, F, A, d): (R, M, T, F, A, 1), or None without them."""
    relative = trace.model.layers[layer].attention.relative
    if relative is None:
        return None
    added = relative.keyed(key.flatten(1, 2).transpose(1, 2), *_flat_pairs(trace, source, to), trace.batch.ids.shape[1])
    return None if added is None else added.unflatten(2, source.shape[1:]).permute(0, 2, 4, 3, 1)[..., None]


def _spread(trace: PathTrace, values: Tensor) -> Tensor:
    """Values of an instance repeated for its samples."""
    return values.repeat_interleave(trace.samples, 0)


def _own_query(trace: PathTrace, layer: int, source: Nodes, query: Tensor) -> Float[Tensor, "rows m f heads size"]:
    """Tangents of the context vector at each source's own position through its query."""
    _, k, v = (x.transpose(1, 2) for x in trace.projected[layer])
    dq = query.flatten(1, 2).transpose(1, 2)
    at = _spread(trace, source.flatten(1))
    share = _scores_of_queries(trace, layer, dq, k, at).mul_(_rows_of(trace.response[layer], at))  # (R, A, M F, N)
    moved = (share @ v).transpose(1, 2).unflatten(1, source.shape[1:])
    total = share.sum(-1).transpose(1, 2).unflatten(1, source.shape[1:])[..., None]
    return moved.sub_(select(trace.context[layer].flatten(0, 1), trace.at(source)).mul_(total))


def context_pull(trace: PathTrace, layer: int, source: Nodes, to: Nodes, grad: Tensor) -> Projected:
    """Gradients of query, key and value vectors at the sources: the transpose of `context_tangents`.

    Args:
        trace: Path samples.
        layer: l.
        source: Positions in hidden[layer] (B, M, F).
        to: Positions in hidden[layer + 1] (B, M, T).
        grad: Gradients of the context vectors at `to` (R, M, T, A, d).
    """
    projected, context = trace.projected[layer], trace.context[layer]
    attention, n = trace.model.layers[layer].attention, trace.batch.ids.shape[1]
    at_source, at_to = trace.at(source), trace.at(to)
    pair = at_to[..., :, None] * n + _spread(trace, source)[..., None, :]
    weight, response = _of_pairs(trace.attention[layer], pair), _of_pairs(trace.response[layer], pair)
    g = grad[..., :, None, :, :]
    q = select(projected.query.flatten(0, 1), at_to)
    v = select(projected.value.flatten(0, 1), at_source)[..., None, :, :, :]
    centre = (select(context.flatten(0, 1), at_to) * grad).sum(-1, keepdim=True)  # (R, M, T, A, 1): <ctx_i, G_i>
    pulled = ((v * g).sum(-1, keepdim=True) - centre[..., :, None, :, :]).mul_(response)  # of the scores
    value, key = (weight * g).sum(-4), (pulled * q[..., :, None, :, :]).sum(-4).mul_(attention.scale)
    if attention.relative is not None:
        of_sources = pulled[..., 0].permute(0, 4, 1, 3, 2).flatten(2, 3)  # (R, A, M F, T)
        added = attention.relative.keyed_pull(of_sources, *_flat_pairs(trace, source, to), n)
        key = key if added is None else key + added.transpose(1, 2).unflatten(1, source.shape[1:])
    query, (staying, same) = torch.zeros_like(value), _staying(source, to)
    if not len(staying):
        return Projected(query, key, value)
    _, k, values = (x.transpose(1, 2) for x in projected)
    to, grad, centre = to[:, staying], grad[:, staying], centre[:, staying]
    flat, at = grad.flatten(1, 2).transpose(1, 2), _spread(trace, to.flatten(1))  # (R, A, M T, d)
    share = (flat @ values.transpose(2, 3)).sub_(centre[..., 0].flatten(1, 2).transpose(1, 2)[..., None])
    share.mul_(_rows_of(trace.response[layer], at))
    at_query = (share @ k).mul_(attention.scale)
    added = None if attention.relative is None else attention.relative.asking_pull(share, at)
    at_query = (at_query if added is None else at_query + added).transpose(1, 2).unflatten(1, to.shape[1:])  # (R, M, T, A, d)
    query.index_copy_(1, staying, (at_query[..., :, None, :, :] * _spread(trace, same)[..., None, None]).sum(-4))
    return Projected(query, key, value)


def advance(trace: PathTrace, layer: int, to: Nodes, skip: State, context: Tensor) -> State:
    """Tangents of hidden[layer + 1] at `to` from those of its skip (R, M, T, D) and context vectors (R, M, T, A, d)."""
    return trace.tangents[layer].finish_jvp(trace.at(to), skip, context)


def start_tangents(trace: PathTrace, nodes: Nodes) -> State:
    """The tangents x_j - x_b of the nodes' words, carried to hidden[0]."""
    return select(trace.start.flatten(0, 1), trace.at(nodes))


def same_position(trace: PathTrace, source: Nodes, to: Nodes) -> Bool[Tensor, "rows m t f"]:
    """Whether a skip node joins source and target, that is, whether they are one position; repeated for the samples."""
    return _spread(trace, to[..., :, None] == source[..., None, :])


def skip_tangents(trace: PathTrace, source: Nodes, to: Nodes, tangent: State) -> State:
    """The tangent of each target's residual: that of the source at the same position, or 0 without one."""
    same = same_position(trace, source, to)
    if same.shape[-1] == 1:
        return tangent * same[..., 0].unsqueeze(-1)
    return same.to(tangent.dtype) @ tangent


class LayerFlow(NamedTuple):
    """The effect of a layer's attention on tangents of all its positions."""

    context: Float[Tensor, "rows tokens heads size"]
    """Tangents of the context vectors."""
    influence: Float[Tensor, "batch tokens"]
    """Influence that arrives at each node of the next layer, summed over all later paths (units of q)."""


def layer_flow(trace: PathTrace, layer: int, tangent: Float[Tensor, "rows tokens hidden"]) -> LayerFlow:
    """Carries tangents of every position of hidden[layer] through the attention."""
    moved = trace.tangents[layer].project_jvp(None, tangent.flatten(0, 1))
    dq, dk, dv = (x.unflatten(0, tangent.shape[:2]).transpose(1, 2) for x in moved)
    q, k, v = (x.transpose(1, 2) for x in trace.projected[layer])
    weights, everywhere = trace.attention[layer], torch.arange(tangent.shape[1], device=tangent.device).expand(tangent.shape[:2])
    scores = _scores_of_queries(trace, layer, dq, k, everywhere).add_(_scores_of_keys(trace, layer, q, dk, everywhere))
    scores.mul_(trace.response[layer])
    scores = scores.sub_(weights * scores.sum(-1, keepdim=True))
    context = (scores @ v).add_(weights @ dv).transpose(1, 2)
    arriving = (context * trace.grad_context[layer]).sum((-1, -2)) + (tangent * trace.grad_skip[layer]).sum(-1)
    return LayerFlow(context, trace.mean(arriving))


def layer_tangent(trace: PathTrace, layer: int, tangent: Float[Tensor, "rows tokens hidden"], flow: LayerFlow) -> Tensor:
    """Tangents of every position of hidden[layer + 1]: the whole layer's JVP, given its `layer_flow`."""
    next_tangent = trace.tangents[layer].finish_jvp(None, tangent.flatten(0, 1), flow.context.flatten(0, 1))
    return next_tangent.unflatten(0, tangent.shape[:2])
