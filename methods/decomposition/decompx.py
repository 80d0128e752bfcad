"""DecompX (Modarressi et al. 2023): every hidden state as a sum of parts, one for each word, from the words to q."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import linear, one_hot

from ...core.settings import Settings
from ...models.batch import Batch
from ...models.flow.flow_model import FlowModel, at_target
from ...models.layers.feed_forward import FeedForward
from ...models.memory import affordable
from ..base import explanations, method
from ..explanation import Explanation
from .linear_layers import HeldNorm, LinearLayer, linear_layers, through
from .linear_readout import check_linear, linear_readout, ratio

Parts = Float[Tensor, "rows queries words size"]
Bias = Float[Tensor, " size"] | None
Own = Float[Tensor, "queries words"]
COPIES = 4
"""Tensors of the size of the parts that are in memory at once, beside the parts before and after a layer."""


@method(
    "decompx",
    gives={"tokens"},
    needs={"transformer", "target"},
    source="Modarressi et al. 2023, DecompX: Explaining Transformers Decisions by Propagating Token Decomposition",
    misleads="Attention weights, deviations of norms and the ratios of activation functions are held, so that what words do "
    "through them is not seen. Biases are divided among words that did not bring them, and tokens sum to q for that "
    "reason too.",
)
@dataclass(frozen=True)
class DecompX(Settings):
    """Part of each word in q, carried as a vector of its own through all layers and the head (Modarressi et al. 2023).

    hidden[l] at position i is a sum of parts x_i<-k over words k; at l = 0, x_i<-i is the whole state. A layer maps parts as it
    maps the states, with what is not linear held at the clean pass: attention weights; the deviation of each norm; act(z) / z of
    each inner unit (its slope at 0). Of a gated block, whose inner units are act(z) g, each factor gets half of the product,
    which is its Shapley value: act(z) / z g z_k / 2 + act(z) g_k / 2. A bias b that is added to a sum of parts p_k is divided
    among them as |<b, p_k>| / sum over m of |<b, p_m>|. The biases are: of values and output projection together (behind a norm,
    with that norm's bias), after the residual is added, unless attention has a norm of its own; of each norm; of the inner units
    (and their gates) with that of the norm they read; of the block's output. Where all products are 0, b is the position's own
    word's.

        tokens[k] = q_k,

    where the head maps the parts at the target, its norms and activations held as those of a layer; what all biases of the head
    add to q is divided by |q_k|.

    The parts of every state sum to it, and the tokens to q: `q_baseline` is 0. Source: Modarressi et al. 2023, for layers that
    normalise after each block and plain activation functions; the bias by absolute products is the default of their code, which
    leaves the values' biases of the first layer with their own words, and divides each bias of the head by itself. Units of q;
    signed. One forward pass, and one of as many vectors a position as there are words, so that memory grows with the square of
    their number.

    Raises:
        NotApplicable: q is a probability, which is not linear in the logits.
    """

    @torch.no_grad()
    def explain(self, model: FlowModel, batch: Batch) -> list[Explanation]:
        """Divides q among the words of every instance, as many at a time as fit into memory."""
        check_linear(batch)
        tokens = batch.ids.shape[1]
        size = affordable((2 + COPIES) * tokens**2 * model.width * model.dtype.itemsize, 1 / 2, len(batch))
        pieces = torch.arange(len(batch), device=batch.ids.device).split(size)
        return [explanation for rows in pieces for explanation in _explained(model, batch.rows(rows))]


def _explained(model: FlowModel, batch: Batch) -> list[Explanation]:
    assert batch.target is not None
    for layer, parts in decomposed(model, batch):
        last, words = layer.after, at_target(parts, batch)[:, 0]
    readout = linear_readout(model, batch, last)
    scores = torch.einsum("bd,bkd->bk", readout.direction, words)
    own = one_hot(batch.target, scores.shape[1])
    scores = scores + readout.bias[:, None] * _by_size(scores.abs(), own)
    return explanations(batch, tokens=scores, values=[{"q_baseline": 0.0}] * len(batch))


def decomposed(model: FlowModel, batch: Batch) -> Iterator[tuple[LinearLayer, Parts]]:
    """Each layer of the clean pass with the parts of its output by word (B, N, N, D), first to last."""
    parts, own = None, torch.eye(batch.ids.shape[1], dtype=model.dtype, device=model.device)
    for layer in linear_layers(model, batch):
        parts = _after(layer, own[..., None] * layer.skip[:, :, None] if parts is None else parts, own)
        yield layer, parts


def _after(layer: LinearLayer, parts: Parts, own: Own) -> Parts:
    """The parts of the layer's output from those of its input; `own` is 1 at each query's own word."""
    attention, after = layer.layer.attention, torch.empty_like(parts)
    values = attention.shared(
        linear(through(layer.norms.normed, parts), attention.value.weight).unflatten(
            -1, (attention.key_heads or attention.heads, -1)
        )
    )
    bias = _attended_bias(layer)
    wide = max(1, layer.layer.ff.inner.weight.shape[0] // parts.shape[-1])
    for queries in layer.some_queries(COPIES * wide):
        at, norms = own[queries], layer.norms
        context = torch.einsum("bhij,bjkhd->bikhd", layer.weights[:, :, queries], values)
        attended, skip = linear(context.flatten(-2), attention.output.weight), parts[:, queries]
        if norms.added is norms.merged:  # the residual is added first, and its parts have a share in the bias
            middle = through(norms.added, divided(skip + attended, bias, at), queries)
        else:
            middle = through(norms.merged, skip, queries) + through(norms.added, divided(attended, bias, at), queries)
        middle = divided(middle, bias_of(norms.added), at)
        read = through(norms.read, parts[:, queries] if layer.layer.parallel else middle, queries)
        fed = through(norms.fed, _fed(layer.layer.ff, read, bias_of(norms.read), at), queries)
        after[:, queries] = divided(through(norms.left, middle, queries) + fed, bias_of(norms.fed), at)
    return after


def _attended_bias(layer: LinearLayer) -> Float[Tensor, " hidden"]:
    """What the norm's, the values' and the output projection's biases add to the attention's output at any position."""
    attention, normed = layer.layer.attention, layer.norms.normed
    nothing = layer.skip.new_zeros(layer.skip.shape[-1])
    value = attention.value(nothing if normed is None or normed.bias is None else normed.bias)
    return attention.attended(attention.shared(value.unflatten(-1, (attention.key_heads or attention.heads, -1))))


def _fed(block: FeedForward, parts: Parts, before: Bias, own: Own) -> Parts:
    """The parts of the feed-forward block's output from those of what it reads, and the bias of the norm before it."""
    nothing = parts.new_zeros(parts.shape[-1]) if before is None else before
    inner = divided(linear(parts, block.inner.weight), block.inner(nothing), own)
    whole = inner.sum(-2, keepdim=True)
    held = ratio(block.act, whole)
    if block.gate is None:
        return divided(linear(inner * held, block.outer.weight), block.outer.bias, own)
    gates = divided(linear(parts, block.gate.weight), block.gate(nothing), own)
    halves = (inner * gates.sum(-2, keepdim=True) + whole * gates) * held / 2
    return divided(linear(halves, block.outer.weight), block.outer.bias, own)


def bias_of(norm: HeldNorm | None) -> Bias:
    """The bias of a norm, where there is a norm and it has one."""
    return None if norm is None else norm.bias


def divided(parts: Parts, bias: Bias, own: Own) -> Parts:
    """The parts with a bias divided among them by the size of their products with it; to the own word where all are 0.

    >>> divided(torch.tensor([[[[1.0, 0.0], [-3.0, 2.0]]]]), torch.tensor([4.0, 0.0]), torch.eye(2)[:1]).tolist()
    [[[[2.0, 0.0], [0.0, 2.0]]]]
    """
    return parts if bias is None else parts + _by_size((parts @ bias).abs(), own)[..., None] * bias


def _by_size(sizes: Float[Tensor, "rows *queries words"], own: Tensor) -> Float[Tensor, "rows *queries words"]:
    """Sizes as shares of their sum."""
    total = sizes.sum(-1, keepdim=True)
    return torch.where(total == 0, own, sizes / total)
