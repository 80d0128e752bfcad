"""Samples of the path from a baseline to the input: every site and every gradient, from one forward and one backward pass."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import jvp

from ..baseline import Baseline, baseline_words
from ..batch import Batch, Rows
from ..layered import Layered
from ..outputs import value
from .flow_model import FlowModel
from .layer import Projected, Tangents, Tape
from .quadrature import Quadrature, Rule, quadrature


@dataclass(eq=False)
class PathTrace:
    """Sites and gradients at the samples of a path, for a batch. Rows run over (instance, sample), samples fastest.

    Attributes:
        model: The model.
        batch: The batch.
        samples: S.
        weights: Quadrature weights.
        delta: x - x_b in word-embedding space (B, N, E).
        g: Distributional influence of each token, sum_E delta * E_z[dq/dz] (B, N): integrated gradients (units of q).
        completeness: |sum_j g_j - (q(x) - q(x_b))| (B,), units of q.
        q, q_baseline: q at the input and at the baseline (B,).
        projected: Query, key and value vectors of each layer (R, N, A, d).
        attention: P of each layer (R, A, N, N); rows are queries.
        context: Context vectors of each layer (R, N, A, d).
        skip: What each layer's residual carries (R, N, D).
        grad_hidden: dq/dhidden[l], l = 0..L (R, N, D).
        grad_context, grad_skip: dq/dcontext[l] and dq/dskip[l], l = 0..L-1.
        seconds: What it took to make; charged to each method that reuses it.
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
    projected: list[Projected]
    attention: list[Tensor]
    context: list[Tensor]
    skip: list[Tensor]
    grad_hidden: list[Tensor]
    grad_context: list[Tensor]
    grad_skip: list[Tensor]
    tangents: list[Tangents]
    start: Tensor
    seconds: float

    @cached_property
    def rows(self) -> Batch:
        """The batch with every instance repeated for its samples."""
        return self.batch.rows(torch.arange(len(self.batch), device=self.g.device).repeat_interleave(self.samples))

    def mean(self, values: Float[Tensor, "rows *rest"]) -> Float[Tensor, "batch *rest"]:
        """E_z: the weighted mean over the samples of each instance."""
        apart = values.unflatten(0, (len(self.batch), self.samples))
        return (self.weights @ apart.flatten(2)).unflatten(-1, values.shape[1:])

    def at(self, positions: Tensor) -> Tensor:
        """Flat row numbers (row * N + position) of positions (B, ...), for every sample: (R, ...)."""
        n, spread = self.batch.ids.shape[1], positions.repeat_interleave(self.samples, 0)
        rows = torch.arange(len(spread), device=positions.device).view(-1, *[1] * (positions.ndim - 1))
        return rows * n + spread


def path_trace(
    model: FlowModel, batch: Batch, rule: Rule = "midpoint", samples: int = 50, baseline: Baseline = "mask"
) -> PathTrace:
    """Samples the straight path from the baseline's word vectors to the input's; cached on the batch.

    Source: the distribution of interest of Lu et al. 2021, section 3; gradients at all sites from one backward pass.
    """
    key = ("path_trace", rule, samples, baseline)
    if key in batch.cache:
        found: PathTrace = batch.cache[key]
        batch.cache.setdefault("charges", []).append(found.seconds)
        return found
    started = time.perf_counter()
    trace = _trace(model, batch, quadrature(rule, samples), baseline)
    trace.seconds = time.perf_counter() - started
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
        wanted = [trace.whole(site, layer) for site in ("context", "skip") for layer in range(n_layers)]
        wanted += [trace.whole("hidden", layer) for layer in range(n_layers + 1)]
        grads = torch.autograd.grad(q.sum(), [words, *wanted])
    with torch.no_grad():
        ends = _ends(model, batch, x, x_b)
        start = jvp(lambda w: model.embed(w, rows), (words.detach(),), (delta.repeat_interleave(n_samples, 0),))[1]
    weights = torch.as_tensor(rule.weights, dtype=x.dtype, device=x.device)
    mean_grad = (weights @ grads[0].unflatten(0, (len(batch), n_samples)).flatten(2)).unflatten(-1, x.shape[1:])
    g = (delta * mean_grad).sum(-1) * batch.attention_mask
    keep_free = lambda site: [trace.whole(site, layer).detach() for layer in range(n_layers)]  # noqa: E731
    context, skip = keep_free("context"), keep_free("skip")
    return PathTrace(
        model, batch, n_samples, weights, delta, g, (g.sum(1) - (ends[0] - ends[1])).abs(), ends[0], ends[1],
        [Projected(*p) for p in zip(keep_free("query"), keep_free("key"), keep_free("value"), strict=True)],
        keep_free("attention"), context, skip,
        list(grads[1 + 2 * n_layers :]), list(grads[1 : 1 + n_layers]), list(grads[1 + n_layers : 1 + 2 * n_layers]),
        [layer.tangents(s, c, t) for layer, s, c, t in zip(model.layers, skip, context, tapes, strict=True)],
        start, 0.0,
    )  # fmt: skip


def _ends(model: FlowModel, batch: Batch, x: Tensor, x_b: Tensor) -> tuple[Tensor, Tensor]:
    """q at the input and at the baseline."""
    both = batch.rows(torch.arange(len(batch), device=x.device).repeat(2))
    (trace,) = model.run(Rows(both, model.embed(torch.cat([x, x_b]), both)))
    q = value(model.readout(trace.site("hidden", model.n_layers), both), both)
    return q[: len(batch)], q[len(batch) :]


def trace_bytes(model: Layered, n_tokens: int, samples: int) -> int:
    """About what the path trace of one instance takes, while its graph is alive."""
    inner = getattr(model, "inner_width", 4 * model.width)
    floats = n_tokens * (22 * model.width + 3 * inner) + 4 * model.n_heads * n_tokens**2
    return int(samples * max(1, model.n_layers) * floats * torch.finfo(model.dtype).bits // 8)
