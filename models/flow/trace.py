"""Samples of the path from a baseline to the input: every site and every gradient, from one forward and one backward pass."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import jvp

from ...core.settings import Settings
from ..baseline import Baseline, baseline_words
from ..batch import Batch, Rows
from ..layered import Layered
from ..layers.base import Layer, Projected, Tangents, Tape
from ..memory import memory_budget
from ..outputs import value
from .flow_model import FlowModel
from .quadrature import Quadrature, Rule, check_quadrature, quadrature
from .work import Work, measuring

WHOLE = 1 / 2
"""Share of the memory budget that a trace with all its sites may take; a larger one is split."""


@dataclass(eq=False)
class PathTrace:
    """Sites and gradients at the samples of a path, for a batch. Rows run over (instance, sample), samples fastest.

    Where the samples of a long text do not fit into the memory budget, the trace is a `SplitTrace`, whose sites are in its
    `pieces` alone; what needs means over samples sums over pieces in either case.

    Attributes:
        model: The model.
        batch: The batch.
        samples: S.
        weights: Quadrature weights.
        delta: x - x_b, input minus baseline, in word-embedding space (B, N, E).
        g: Distributional influence of each token, sum_E delta * E_z[dq/dz] (B, N): integrated gradients (units of q).
        completeness: |sum_j g_j - (q(x) - q(x_b))| (B,), units of q.
        q, q_baseline: q at the input and at the baseline (B,).
        projected: Query, key and value vectors of each layer, as each query head reads them (R, N, A, d).
        attention: P of each layer (R, A, N, N); rows are queries.
        response: P times the derivative of the soft cap of scores, which is P itself where there is none (R, A, N, N).
        context: Context vectors of each layer (R, N, A, d).
        skip: What each layer's residual carries (R, N, D).
        grad_hidden: dq/dhidden[l], l = 0..L (R, N, D).
        grad_context, grad_skip: dq/dcontext[l] and dq/dskip[l], l = 0..L-1.
        tangents: The derivatives of each layer's position-wise parts.
        start: The tangents x - x_b carried to hidden[0] (R, N, D).
        work: What its computation took, which is charged to each method that reuses it.
    """

    model: FlowModel
    batch: Batch
    samples: int
    weights: Float[Tensor, " samples"]
    delta: Tensor
    g: Tensor
    completeness: Tensor
    q: Tensor
    q_baseline: Tensor
    projected: Sequence[Projected]
    attention: Sequence[Tensor]
    response: Sequence[Tensor]
    context: Sequence[Tensor]
    skip: Sequence[Tensor]
    grad_hidden: Sequence[Tensor]
    grad_context: Sequence[Tensor]
    grad_skip: Sequence[Tensor]
    tangents: Sequence[Tangents]
    start: Tensor
    work: Work

    @cached_property
    def rows(self) -> Batch:
        """The batch with every instance repeated for each of its samples."""
        return self.batch.rows(torch.arange(len(self.batch), device=self.g.device).repeat_interleave(self.samples))

    @property
    def samples_at_once(self) -> int:
        """Samples of the largest of its pieces."""
        return self.samples

    def pieces(self) -> Iterator[PathTrace]:
        """The trace in pieces of its samples, whose means add up to means over all samples: itself, where all fit into memory."""
        yield self

    def one(self, row: int) -> PathTrace:
        """The trace of one of its instances, as views."""
        if len(self.batch) == 1:
            return self
        span = slice(row * self.samples, (row + 1) * self.samples)
        cut = lambda values: [x[span] for x in values]  # noqa: E731
        instance, n = slice(row, row + 1), self.batch.ids.shape[1]
        attention = cut(self.attention)
        pairs = zip(self.response, self.attention, attention, strict=True)
        response = [mine if whole is weights else whole[span] for whole, weights, mine in pairs]  # one tensor, where it is one
        return replace(
            self,
            batch=self.batch.rows(torch.tensor([row], device=self.g.device)),
            delta=self.delta[instance], g=self.g[instance], completeness=self.completeness[instance],
            q=self.q[instance], q_baseline=self.q_baseline[instance],
            projected=[Projected(*cut(p)) for p in self.projected],
            attention=attention, response=response, context=cut(self.context), skip=cut(self.skip),
            grad_hidden=cut(self.grad_hidden), grad_context=cut(self.grad_context), grad_skip=cut(self.grad_skip),
            tangents=[t.cut(slice(span.start * n, span.stop * n)) for t in self.tangents], start=self.start[span],
        )  # fmt: skip

    def mean(self, values: Float[Tensor, "rows *rest"]) -> Float[Tensor, "batch *rest"]:
        """E_z: the weighted mean over the samples of each instance."""
        apart = values.unflatten(0, (len(self.batch), self.samples))
        return (self.weights @ apart.flatten(2)).unflatten(-1, values.shape[1:])

    def at(self, positions: Tensor) -> Tensor:
        """Flat row indices (row * N + position) of positions (B, ...), for every sample: (R, ...)."""
        n, spread = self.batch.ids.shape[1], positions.repeat_interleave(self.samples, 0)
        rows = torch.arange(len(spread), device=positions.device).view(-1, *[1] * (positions.ndim - 1))
        return rows * n + spread


@dataclass(frozen=True)
class PathSettings(Settings):
    """The settings of a method that integrates over the path from a baseline.

    Attributes:
        rule: Quadrature rule of the path integral: midpoint, paper (the published one), trapezoid, gauss-legendre.
        samples: Number of nodes of the rule.
        baseline: Word vectors at which the path starts: mask, zero, pad, mean. On decoders the default is `pad`.
    """

    rule: Rule = "midpoint"
    samples: int = 50
    baseline: Baseline = "mask"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_quadrature(self.rule, self.samples)

    def trace(self, model: FlowModel, batch: Batch) -> PathTrace:
        """Samples the path; the batch's cache keeps the samples for every method with these settings."""
        return path_trace(model, batch, self.rule, self.samples, self.baseline)


def path_trace(
    model: FlowModel, batch: Batch, rule: Rule = "midpoint", samples: int = 50, baseline: Baseline = "mask"
) -> PathTrace:
    """Samples the straight path from the baseline's word vectors to those of the input; cached on the batch.

    Args:
        model: The transformer.
        batch: The instances; its `cache` keeps the trace.
        rule: The quadrature rule for means over the path.
        samples: Samples of the path, S.
        baseline: The word vectors at the start of the path.

    Source: the distribution of interest of Lu et al. 2021, section 3; gradients at all sites from one backward pass.
    """
    key = ("path_trace", rule, samples, baseline)
    if key in batch.cache:
        cached: PathTrace = batch.cache[key]
        batch.cache.setdefault("charges", []).append(cached.work)
        return cached
    with measuring() as measured:
        if len(batch) * trace_bytes(model, batch.ids.shape[1], samples) <= WHOLE * memory_budget():
            trace = _trace(model, batch, quadrature(rule, samples), baseline)
        else:
            from .split_trace import split_trace

            trace = split_trace(model, batch, quadrature(rule, samples), baseline)
    trace.work = measured.work
    batch.cache[key] = trace
    return trace


def _trace(model: FlowModel, batch: Batch, rule: Quadrature, baseline: Baseline) -> PathTrace:
    n_layers, n_samples = model.n_layers, len(rule.nodes)
    with torch.no_grad():
        x, x_b = model.words(batch), baseline_words(model, batch, baseline)
    delta, nodes = x - x_b, torch.as_tensor(rule.nodes, dtype=x.dtype, device=x.device)
    words = (x_b[:, None] + nodes[:, None, None] * delta[:, None]).flatten(0, 1).requires_grad_(True)
    rows = batch.rows(torch.arange(len(batch), device=x.device).repeat_interleave(n_samples))
    tapes: list[Tape] = []
    with torch.enable_grad():
        hidden = model.embed(words, rows)
        keep = {"hidden", "query", "key", "value", "attention", "context", "skip"}
        (trace,) = model.run(Rows(rows, hidden), keep=keep, tapes=tapes)  # type: ignore[arg-type]
        last = trace.whole("hidden", n_layers)
        q = value(model.readout(last, rows), rows)
        sites = [trace.whole(site, layer) for site in ("context", "skip") for layer in range(n_layers)]
        sites += [trace.whole("hidden", layer) for layer in range(n_layers + 1)]
        grads = torch.autograd.grad(q.sum(), [words, *sites])
    with torch.no_grad():
        ends = ends_of(model, batch, x, x_b)
        start = jvp(lambda w: model.embed(w, rows), (words.detach(),), (delta.repeat_interleave(n_samples, 0),))[1]
    weights = torch.as_tensor(rule.weights, dtype=x.dtype, device=x.device)
    mean_grad = (weights @ grads[0].unflatten(0, (len(batch), n_samples)).flatten(2)).unflatten(-1, x.shape[1:])
    g = (delta * mean_grad).sum(-1) * batch.attention_mask
    detached = lambda site: [trace.whole(site, layer).detach() for layer in range(n_layers)]  # noqa: E731
    context, skip, attention = detached("context"), detached("skip"), detached("attention")
    vectors = zip(model.layers, detached("query"), detached("key"), detached("value"), strict=True)
    projected = [as_heads_read(*parts) for parts in vectors]
    return PathTrace(
        model=model,
        batch=batch,
        samples=n_samples,
        weights=weights,
        delta=delta,
        g=g,
        completeness=(g.sum(1) - (ends[0] - ends[1])).abs(),
        q=ends[0],
        q_baseline=ends[1],
        projected=projected,
        attention=attention,
        response=[response_of(*parts) for parts in zip(model.layers, projected, attention, strict=True)],
        context=context,
        skip=skip,
        grad_hidden=list(grads[1 + 2 * n_layers :]),
        grad_context=list(grads[1 : 1 + n_layers]),
        grad_skip=list(grads[1 + n_layers : 1 + 2 * n_layers]),
        tangents=[
            layer.tangents(s, c, rows.positions, t) for layer, s, c, t in zip(model.layers, skip, context, tapes, strict=True)
        ],
        start=start,
        work=Work(),
    )


def as_heads_read(layer: Layer, query: Tensor, key: Tensor, value: Tensor) -> Projected:
    """Query, key and value vectors of a layer, keys and values repeated for the query heads that share them."""
    return Projected(query, layer.attention.shared(key), layer.attention.shared(value))


def response_of(layer: Layer, projected: Projected, weights: Tensor) -> Tensor:
    """P times the derivative of the soft cap: P itself, where there is none."""
    slope = layer.attention.slope(projected.query, projected.key)
    return weights if slope is None else weights * slope


def ends_of(model: FlowModel, batch: Batch, x: Tensor, x_b: Tensor) -> tuple[Tensor, Tensor]:
    """q (B,) at the input and at the baseline."""
    both = batch.rows(torch.arange(len(batch), device=x.device).repeat(2))
    (trace,) = model.run(Rows(both, model.embed(torch.cat([x, x_b]), both)))
    q = value(model.readout(trace.site("hidden", model.n_layers), both), both)
    return q[: len(batch)], q[len(batch) :]


def trace_bytes(model: Layered, n_tokens: int, samples: int) -> int:
    """An estimate of the bytes that the path trace of one instance takes while autograd keeps its graph.

    Args:
        model: Any model.
        n_tokens: Tokens of the instance.
        samples: Samples of the path.
    """
    inner = getattr(model, "inner_width", 4 * model.width)
    floats = n_tokens * (22 * model.width + 3 * inner) + 4 * model.n_heads * n_tokens**2
    return int(samples * max(1, model.n_layers) * floats * torch.finfo(model.dtype).bits // 8)
