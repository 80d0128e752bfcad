"""Influence patterns by guided pattern refinement (Lu et al. 2021), exactly, for all words of a batch at once."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from ...core.errors import UsageError
from ...models.baseline import Baseline
from ...models.batch import Batch
from ...models.flow.flow_model import FlowModel
from ...models.flow.graph import NO_EDGE, Patterns
from ...models.flow.quadrature import Rule, check_quadrature
from ...models.flow.trace import PathTrace, path_trace
from ..base import explanations, method
from ..explanation import Explanation
from .pattern_search import AttentionPatterns, EmbeddingPatterns, optimality_gaps, refine, search


@method(
    "influence-patterns",
    gives={"tokens", "flows", "patterns"},
    needs={"transformer", "target", "path_samples"},
    source="Lu et al. 2021, Influence Patterns for Explaining Information Flow in BERT, section 4.2",
)
@dataclass(frozen=True)
class InfluencePatterns:
    """Paths of nodes that carry most of each word's influence, by guided pattern refinement (Lu et al. 2021).

    Embedding level (section 4.2): for each word j, layer by layer, append the node h^l_i that maximises
    sign(g_j) I([prefix, h^l_i] -> q), all later paths open; h^L is the target. Attention level: for each edge of that pattern,
    the head or the skip node that maximises the same influence, given the choices so far.

    Attributes:
        rule: Quadrature rule of the path integral: midpoint, paper (the published one), trapezoid, gauss-legendre.
        samples: Its nodes S.
        baseline: Word vectors the path starts at: mask, zero, pad, mean.
        beam: Prefixes kept a word at each layer; 1 is the published greedy search.
        k: Nodes a layer: the k best together, as one bundle of paths (needs beam 1).
        level: `attention` refines the embedding level by heads and skips; `embedding` stops before.
        suffix: What follows an attention-level choice: the pattern's own embedding nodes (the published code) or every path,
            with the prefix's heads open too (the published Algorithm 2).
        exact: Also walks all N^(L-1) patterns of each word and stores the optimality gap; refuses above `ENUMERATION_LIMIT` a
        word.

    The influence of a pattern is in units of q. Ties go to the skip. `flows` [j, l, i] is what the search weighed at each step:
    sign(g_j) times the influence of word j's pattern up to layer l - 1, continued by h^l_i.
    """

    rule: Rule = "midpoint"
    samples: int = 50
    baseline: Baseline = "mask"
    beam: int = 1
    k: int = 1
    level: Literal["embedding", "attention"] = "attention"
    suffix: Literal["pattern", "free"] = "pattern"
    exact: bool = False

    def __post_init__(self) -> None:
        check_quadrature(self.rule, self.samples)
        if self.beam < 1 or self.k < 1:
            raise UsageError(f"beam and k must be at least 1, got {self.beam} and {self.k}.")
        if self.beam > 1 and self.k > 1:
            raise UsageError("beam and k cannot both exceed 1: a bundle of k nodes is refined greedily.")
        if self.suffix not in ("pattern", "free") or self.level not in ("embedding", "attention"):
            raise UsageError(
                f"suffix must be pattern or free and level embedding or attention, got {self.suffix!r} and {self.level!r}."
            )

    def explain(self, model: FlowModel, batch: Batch) -> list[Explanation]:
        """Patterns of every word whose word vector differs from the baseline's; remembered on the batch."""
        key = ("influence-patterns", self)
        if key in batch.cache:
            found, seconds = batch.cache[key]
            batch.cache.setdefault("charges", []).append(seconds)
            return list(found)
        started, charged = time.perf_counter(), sum(batch.cache.get("charges", ()))
        made = self._explain(model, batch)
        charged = sum(batch.cache.get("charges", ())) - charged
        batch.cache[key] = (made, time.perf_counter() - started + charged)
        return made

    def _explain(self, model: FlowModel, batch: Batch) -> list[Explanation]:
        trace = path_trace(model, batch, self.rule, self.samples, self.baseline)
        with torch.no_grad():
            found = search(trace, self.beam, self.k)
            refined = refine(trace, found, self.suffix == "free") if self.level == "attention" else None
            gaps = optimality_gaps(trace, found) if self.exact else None
        values = [
            {"completeness_error": float(e), "q": float(q), "q_baseline": float(b)}
            for e, q, b in zip(trace.completeness, trace.q, trace.q_baseline, strict=True)
        ]
        return explanations(
            batch, tokens=trace.g, flows=_flows(trace, found), patterns=_patterns(trace, found, refined, gaps), values=values
        )


def _flows(trace: PathTrace, found: EmbeddingPatterns) -> Float[Tensor, "batch tokens depths tokens"]:
    """What each step of the search weighed, in the direction of g: [j, l, i] is the influence of j's prefix continued by i."""
    batch, tokens = trace.batch.ids.shape
    sources = found.nodes[0][..., 0]
    sign = torch.where(found.total < 0, -1.0, 1.0).to(found.total.dtype) * found.traced
    assert trace.batch.target is not None
    weighed = torch.stack(found.totals, 2)  # (B, W, L, N)
    weighed[:, :, -1] *= torch.arange(tokens, device=sources.device) == trace.batch.target[:, None, None]
    start = torch.nn.functional.one_hot(sources, tokens).to(weighed.dtype) * found.total[..., None]
    flows = torch.cat([start[:, :, None], weighed], 2) * sign[..., None, None]
    whole = flows.new_zeros(batch, tokens, *flows.shape[2:])
    return whole.index_put((torch.arange(batch, device=sources.device)[:, None], sources), flows, accumulate=True)


def _patterns(
    trace: PathTrace, found: EmbeddingPatterns, refined: AttentionPatterns | None, gaps: list[Tensor] | None
) -> list[Patterns]:
    """Found patterns of each instance, without the padding of words."""
    positions = _stack(found.nodes, -1)
    heads = None if refined is None else _stack(refined.choice, NO_EDGE)
    made = []
    for b in range(len(trace.batch)):
        live = found.traced[b]
        number = lambda x: x[b, live].to("cpu", torch.float64).numpy()  # noqa: B023, E731
        made.append(
            Patterns(
                source=found.nodes[0][b, live, 0].cpu().numpy(),
                total=number(found.total),
                influence=number(found.influence),
                positions=positions[b][live.cpu().numpy()],
                head_influence=None if refined is None else number(refined.influence),
                heads=None if heads is None else heads[b][live.cpu().numpy()],
                gap=None if gaps is None else gaps[b].to("cpu", torch.float64).numpy(),
            )
        )
    return made


def _stack(layers: list[Tensor], missing: int) -> np.ndarray:
    """Ragged (B, W, a[, b]) a layer as one array (B, W, layers, k[, k])."""
    k = max(max(x.shape[2:]) for x in layers)
    shape = (*layers[0].shape[:2], len(layers), *[k] * (layers[0].ndim - 2))
    out = np.full(shape, missing)
    for number, x in enumerate(layers):
        filled: tuple[int | slice, ...] = (slice(None), slice(None), number, *(slice(n) for n in x.shape[2:]))
        out[filled] = x.cpu().numpy()
    return out
