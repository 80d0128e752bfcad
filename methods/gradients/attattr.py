"""Attention attribution (Hao et al. 2021): integrated gradients of attention weights, all layers in one growing batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from ...core.settings import Settings
from ...models.batch import Batch, Rows
from ...models.flow.flow_model import FlowModel
from ...models.flow.quadrature import LARGEST, Quadrature, quadrature
from ...models.flow.trace import trace_bytes
from ...models.inputs.encode import relabel
from ...models.memory import memory_budget
from ...models.outputs import value
from ..base import explanations, method
from ..explanation import Explanation
from .context_gradients import check_classes_for

Rule = Literal["right", "left", "midpoint", "trapezoid", "gauss-legendre"]
BUDGET = 2**29
"""Bytes of the rows that run at once; larger batches spend their time on fresh memory pages."""


@method(
    "attattr",
    gives={"edges", "heads"},
    needs={"transformer"},
    source="Hao et al. 2021, Self-Attention Attribution: Interpreting Information Interactions Inside Transformer",
    misleads="Only what passes through attention is scored: where a path stays at its position by the skip, the nodes that it "
    "ranks are random (AUROC .50 on `planted/skip`, docs/measurements.md). Its reference, a layer that attends to "
    "nothing, never occurs in the model.",
)
@dataclass(frozen=True)
class AttAttr(Settings):
    """Gradients integrated over attention weights scaled from 0 to their own values, layer by layer (Hao et al. 2021).

    edges[l, h, i, p] = A_lh[i, p] * integral over alpha in [0, 1] of dF(alpha A_l) / dA_lh[i, p]: all heads of layer l are scaled
    together, the other layers run unchanged, and the weights count as free inputs (no gradient through the softmax).
    The scores of a layer sum to F(A_l) - F(0), where F(0) is the output with that layer attending to nothing: the values
    `change/1` to `change/<L>`. `completeness_error` and `completeness_error_mean` are the largest and the mean absolute
    difference over layers, and `probability` (or `q`) is F on the input, all in units of F. heads[l, h] is the largest score of
    the head, special tokens and the diagonal included.

    Signed; unbounded for a quantity of logits; rows are queries. In the last layer only the target's row is not 0; where q reads
    several positions (a span, whose two ends' probabilities are multiplied), every row can differ from 0.
    Source: Hao, Dong, Wei & Xu 2021 (AAAI; arXiv 2004.11207), the self-attention attribution score and its Riemann sum; heads
    are the term of one instance in the mean that the paper calls the importance of a head.

    Attributes:
        rule: Quadrature of the integral: right (the paper's: alpha = k/m, k = 1..m), left (the released code's: k = 0..m-1),
            midpoint, trapezoid (the mean of right and left) or gauss-legendre.
        steps: Number of steps m of the quadrature.
        output: F: the probability of the class (the paper's), or the task's own quantity q.
        target: The class: the explained answer of the batch (`asked`), or the answer that the model predicts.
    """

    rule: Rule = "right"
    steps: Annotated[int, Field(ge=1, le=LARGEST)] = 20
    output: Literal["probability", "quantity"] = "probability"
    target: Literal["asked", "predicted"] = "asked"

    def explain(self, model: FlowModel, batch: Batch) -> list[Explanation]:
        """Integrates the gradients of every instance."""
        check_classes_for(model, self.output, "output")
        explained = relabel(model, batch) if self.target == "predicted" else batch
        if self.output == "probability":
            explained = replace(explained, quantity=replace(explained.quantity, form="probability"), cache={})
        clean = _run_clean(model, explained)
        means = _mean_gradients(model, explained, clean, path_nodes(self.rule, self.steps))
        with torch.no_grad():
            edges = torch.stack([_edges(clean, layer, mean, explained) for layer, mean in enumerate(means)], 1)
            change = clean.output - _without_attention(model, explained, clean)
            error = (edges.sum((2, 3, 4), dtype=torch.float64).T - change).abs()
        name = "probability" if self.output == "probability" else "q"
        values = [
            {"completeness_error": float(e.max()), "completeness_error_mean": float(e.mean()), name: float(f)}
            | {f"change/{layer}": float(moved) for layer, moved in enumerate(c, 1)}
            for e, f, c in zip(error.T, clean.output, change.T, strict=True)
        ]
        return explanations(batch, edges=edges, heads=_largest(edges, batch), values=values)


def path_nodes(rule: Rule, steps: int) -> Quadrature:
    """Nodes and weights in [0, 1] of a quadrature rule.

    Args:
        rule: Name of the rule.
        steps: Number of steps m; the trapezoid rule has m + 1 nodes.

    Returns:
        The nodes in increasing order, and their weights, which sum to 1.

    >>> path_nodes("right", 2).nodes.tolist(), path_nodes("left", 2).nodes.tolist()
    ([0.5, 1.0], [0.0, 0.5])
    >>> path_nodes("trapezoid", 2).weights.tolist()
    [0.25, 0.5, 0.25]
    """
    if rule == "trapezoid":
        return quadrature("trapezoid", steps + 1)
    if rule == "midpoint" or rule == "gauss-legendre":
        return quadrature(rule, steps)
    return Quadrature((np.arange(steps) + (rule == "right")) / steps, np.full(steps, 1 / steps))


@dataclass(frozen=True, eq=False)
class CleanAttention:
    """The run on the input itself; in the last layer the target alone is a query (every position, where there is no target).

    Attributes:
        attention: Attention weights of each layer (B, A, N, N).
        value: Value vectors of each layer (B, N, A, d).
        skip: What each layer's residual carries (B, N, D).
        start: The output of each layer's attention (`SelfAttention.attended`) if it attends to nothing: its bias (B, N, D).
        step: What the layer's attention weights add to it (B, N, D).
        output: F (B,).
        gradients: dF/dcontext of each layer, at the end of its path (B, N, A, d).
    """

    attention: list[Float[Tensor, "batch heads _ tokens"]]
    value: list[Float[Tensor, "batch tokens heads size"]]
    skip: list[Float[Tensor, "batch _ hidden"]]
    start: list[Float[Tensor, "batch _ hidden"]]
    step: list[Float[Tensor, "batch _ hidden"]]
    output: Float[Tensor, " batch"]
    gradients: list[Float[Tensor, "batch _ heads size"]]


def _run_clean(model: FlowModel, batch: Batch) -> CleanAttention:
    depth = range(model.n_layers)
    with torch.enable_grad():
        hidden = model.embed(model.words(batch), batch).detach().requires_grad_(True)
        (trace,) = model.run(Rows(batch, hidden), keep={"attention", "value", "context", "skip"}, target_only=True)
        output = value(model.readout(trace.whole("hidden", model.n_layers), batch), batch)
        gradients = torch.autograd.grad(output.sum(), [trace.whole("context", layer) for layer in depth])
    attention, values, context, skip = (
        [trace.whole(site, layer).detach() for layer in depth] for site in ("attention", "value", "context", "skip")
    )
    with torch.no_grad():
        start = [layer.attention.attended(torch.zeros_like(c)) for layer, c in zip(model.layers, context, strict=True)]
        step = [layer.attention.attended(c) - b for layer, c, b in zip(model.layers, context, start, strict=True)]
        values = [layer.attention.shared(v) for layer, v in zip(model.layers, values, strict=True)]
    return CleanAttention(attention, values, skip, start, step, output.detach(), list(gradients))


def _scaled(
    model: FlowModel,
    batch: Batch,
    clean: CleanAttention,
    at: Int[Tensor, " rows"],
    layers: range,
    start: Sequence[Tensor],
    alpha: Tensor,
) -> Float[Tensor, "layers batch steps"]:
    """F with the attention of each of some layers scaled by each alpha.

    The output of a layer's attention, start + alpha step, is linear in A: no layer up to there is computed again, and the rows of
    all layers go on from there as one growing batch.

    Args:
        model: The model.
        batch: The instances.
        clean: The run on the input itself.
        at: The instances' rows in it.
        layers: The layers.
        start: The output of the attention of each of them at alpha = 0.
        alpha: The factors.
    """
    rows = batch.rows(at.repeat_interleave(len(alpha)))
    entered = [
        Rows(rows, model.layers[layer].feed(clean.skip[layer][at], a, clean.step[layer][at], alpha), layer + 1)
        for layer, a in zip(layers, start, strict=True)
    ]
    traces = model.run(*entered, target_only=True)
    outputs = [value(model.readout(trace.site("hidden", model.n_layers), rows), rows) for trace in traces]
    return torch.stack(outputs).unflatten(1, (len(at), len(alpha)))


def _mean_gradients(model: FlowModel, batch: Batch, clean: CleanAttention, rule: Quadrature) -> list[Tensor]:
    """Mean of dF/dcontext over each layer's path (B, N, A, d); at alpha = 1 all layers share the gradients of the clean run."""
    inner = rule.nodes < 1
    nodes, weights = (torch.as_tensor(x[inner]).to(clean.output) for x in (rule.nodes, rule.weights))
    means = [torch.zeros_like(step) for step in clean.step]
    for rows, steps, layers in _parts(model, batch, len(nodes)):
        with torch.enable_grad():
            # All points of a path share one start, so that its gradient is their weighted sum.
            start = [clean.start[layer][rows].clone().requires_grad_(True) for layer in layers]
            outputs = _scaled(model, batch, clean, rows, layers, start, nodes[steps])
            gradients = torch.autograd.grad((outputs @ weights[steps]).sum(), start)
        for layer, gradient in zip(layers, gradients, strict=True):
            means[layer][rows] += gradient
    end = float(rule.weights[~inner].sum())
    return [
        layer.attention.attended_vjp(mean) + end * last
        for layer, mean, last in zip(model.layers, means, clean.gradients, strict=True)
    ]


def _without_attention(model: FlowModel, batch: Batch, clean: CleanAttention) -> Float[Tensor, "layers batch"]:
    """F(0) of each layer: the layer attends to nothing, and only the bias of its output projection remains."""
    nothing, outputs = clean.output.new_zeros(1), clean.output.new_zeros(model.n_layers, len(batch))
    for rows, _, layers in _parts(model, batch, 1):
        start = [clean.start[layer][rows] for layer in layers]
        outputs[layers.start : layers.stop, rows] = _scaled(model, batch, clean, rows, layers, start, nothing)[..., 0]
    return outputs


def _parts(model: FlowModel, batch: Batch, n_steps: int) -> Iterator[tuple[Int[Tensor, " rows"], slice, range]]:
    """All steps of all instances and layers, in parts that fit the budget; a step has about (L + 1) / 2 rows in every layer.

    Layers are split where a single step of a single instance does not fit: those of a part have as many rows together as fit.
    """
    budget = min(4 * BUDGET, memory_budget() // 2)
    each, depth = trace_bytes(model, batch.ids.shape[1], 1), model.n_layers
    most = max(1, budget // (each * (depth + 1)))
    rows = torch.arange(len(batch), device=model.device)
    for layers in _layers(depth, budget * depth // (2 * each)):
        for start in range(0, n_steps, most):
            for part in rows.split(max(1, most // n_steps)):
                yield part, slice(start, start + most), layers


def _layers(depth: int, room: int) -> Iterator[range]:
    """The layers in parts with room for so many rows in all layers: the row of layer l enters at l + 1 and runs through the rest.

    >>> list(_layers(4, 6)), list(_layers(4, 3)), list(_layers(4, 0))
    ([range(0, 4)], [range(0, 1), range(1, 4)], [range(0, 1), range(1, 2), range(2, 3), range(3, 4)])
    """
    start, rows = 0, 0
    for layer in range(depth):
        rows += depth - 1 - layer
        if rows > room and layer > start:
            yield range(start, layer)
            start, rows = layer, depth - 1 - layer
    yield range(start, depth)


def _edges(clean: CleanAttention, layer: int, mean: Tensor, batch: Batch) -> Float[Tensor, "batch heads tokens tokens"]:
    """Edge scores A * (G V^T): as dF/dA = (dF/dcontext) V^T, only the gradients of the context vectors are integrated."""
    scores = clean.attention[layer] * torch.einsum("bqad,bkad->baqk", mean, clean.value[layer])
    if layer < len(clean.attention) - 1 or batch.target is None:
        return scores
    whole = scores.new_zeros(*scores.shape[:2], scores.shape[-1], scores.shape[-1])
    whole[torch.arange(len(batch), device=whole.device), :, batch.target] = scores[:, :, 0]
    return whole


def _largest(edges: Float[Tensor, "batch layers heads tokens tokens"], batch: Batch) -> Float[Tensor, "batch layers heads"]:
    """The largest score of each head between real tokens."""
    real = (batch.attention_mask[:, :, None] & batch.attention_mask[:, None, :])[:, None, None]
    return edges.masked_fill(~real, -torch.inf).amax((3, 4))
