"""Influence patterns by guided pattern refinement (Lu et al. 2021), exactly, for all words of a batch at once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import torch
from jaxtyping import Float
from pydantic import PositiveInt
from torch import Tensor

from ...core.errors import UsageError
from ...models.batch import Batch
from ...models.flow.flow_model import FlowModel
from ...models.flow.graph import NO_EDGE, Patterns
from ...models.flow.trace import PathSettings, PathTrace
from ...models.flow.work import measuring, total
from ..base import explanations, method
from ..explanation import Explanation
from .pattern_search import AttentionPatterns, EmbeddingPatterns, optimality_gaps, refine, search


@method(
    "influence-patterns",
    gives={"tokens", "flows", "patterns"},
    needs={"transformer", "target", "path_samples"},
    source="Lu et al. 2021, Influence Patterns for Explaining Information Flow in BERT, section 4.2",
    misleads="A pattern is one path of very many: on the published tasks it carries .07 to .33 of the words' positive "
    "influence (Lu et al. 2021, section 4.4). The greedy search is misled where side routes share a first hop: on "
    "`planted/fork` it finds no path, and `beam=4` finds all (docs/measurements.md).",
)
@dataclass(frozen=True)
class InfluencePatterns(PathSettings):
    """Paths of nodes that carry most of each word's influence, by guided pattern refinement (Lu et al. 2021).

    Embedding level (section 4.2): for each word j, the search appends in every layer the node h^l_i that maximises
    sign(g_j) I([prefix, h^l_i] -> q), with all later paths open; h^L is the target. Attention level: for each edge of that
    pattern, it chooses the head or the skip node that maximises the same influence, given the choices so far.

    The influence of a pattern is in units of q. The skip wins ties. `flows` [j, l, i] is the influence that the search compared
    at each step: sign(g_j) times the influence of word j's pattern up to layer l - 1, continued by h^l_i.

    Attributes:
        beam: Prefixes kept for each word in every layer; 1 is the published greedy search.
        k: Nodes chosen in every layer: the k best together, as one bundle of paths (only with beam 1).
        level: `attention` refines the embedding level by heads and skips; `embedding` omits that step.
        suffix: Paths that follow an attention-level choice: the pattern's own embedding nodes (`pattern`, the published code), or
            every path, with the prefix's heads open too (`free`, the published Algorithm 2).
        exact: Whether all N^(L-1) patterns of each word are enumerated and the optimality gap is stored; only up to
            `ENUMERATION_LIMIT` patterns for each word.
        patterns: Whether patterns are searched; without them `tokens` alone are given, for the cost of the path samples. Where
            it is left out, a run whose metrics all read words leaves the search out.
    """

    beam: PositiveInt = 1
    k: PositiveInt = 1
    level: Literal["embedding", "attention"] = "attention"
    suffix: Literal["pattern", "free"] = "pattern"
    exact: bool = False
    patterns: bool = True
    later: ClassVar[tuple[str, ...]] = ("patterns",)

    @property
    def gives(self) -> frozenset[str]:
        """Scores of words; with `patterns` also the influences that the search compares, and the patterns."""
        return frozenset({"tokens", "flows", "patterns"} if self.patterns else {"tokens"})

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.beam > 1 and self.k > 1:
            raise UsageError("beam and k cannot both exceed 1: a bundle of k nodes is refined greedily; set one of them to 1.")

    def explain(self, model: FlowModel, batch: Batch) -> list[Explanation]:
        """Finds the pattern of every word whose word vector differs from the baseline's.

        The batch's cache keeps the result, which `repl-skip` shares; `charges` has the shared work.
        """
        key = ("influence-patterns", self)
        if key in batch.cache:
            cached, work = batch.cache[key]
            batch.cache.setdefault("charges", []).append(work)
            return list(cached)
        before = len(batch.cache.get("charges", ()))
        with measuring() as measured:
            explained = self._explain(model, batch)
        batch.cache[key] = (explained, total([measured.work, *batch.cache.get("charges", ())[before:]]))
        return explained

    def _explain(self, model: FlowModel, batch: Batch) -> list[Explanation]:
        trace = self.trace(model, batch)
        values = [
            {"completeness_error": float(e), "q": float(q), "q_baseline": float(b)}
            for e, q, b in zip(trace.completeness, trace.q, trace.q_baseline, strict=True)
        ]
        if not self.patterns:
            return explanations(batch, tokens=trace.g, values=values)
        with torch.no_grad():
            embedding = search(trace, self.beam, self.k)
            refined = refine(trace, embedding, self.suffix == "free") if self.level == "attention" else None
            gaps = optimality_gaps(trace, embedding) if self.exact else None
        return explanations(
            batch,
            tokens=trace.g,
            flows=_flows(trace, embedding),
            patterns=_patterns(trace, embedding, refined, gaps),
            values=values,
        )


def _flows(trace: PathTrace, patterns: EmbeddingPatterns) -> Float[Tensor, "batch tokens depths tokens"]:
    """Influence that each step of the search compared, in the direction of g: [j, l, i] for j's prefix continued by i."""
    batch, tokens = trace.batch.ids.shape
    sources = patterns.nodes[0][..., 0]
    sign = torch.where(patterns.total < 0, -1.0, 1.0).to(patterns.total.dtype) * patterns.traced
    assert trace.batch.target is not None
    compared = torch.stack(patterns.totals, 2)  # (B, W, L, N)
    # The last layer ends at the target, whatever the other positions would score.
    compared[:, :, -1] *= torch.arange(tokens, device=sources.device) == trace.batch.target[:, None, None]
    start = torch.nn.functional.one_hot(sources, tokens).to(compared.dtype) * patterns.total[..., None]
    flows = torch.cat([start[:, :, None], compared], 2) * sign[..., None, None]
    whole = flows.new_zeros(batch, tokens, *flows.shape[2:])
    # Padding of the words has the position of a real word and sign 0, so that it adds nothing there.
    return whole.index_put((torch.arange(batch, device=sources.device)[:, None], sources), flows, accumulate=True)


def _patterns(
    trace: PathTrace, embedding: EmbeddingPatterns, refined: AttentionPatterns | None, gaps: list[Tensor] | None
) -> list[Patterns]:
    """Patterns of each instance as NumPy arrays, without the padding of words."""
    positions = _stack(embedding.nodes, -1)
    heads = None if refined is None else _stack(refined.choice, NO_EDGE)

    def array(values: Tensor) -> np.ndarray:
        return values.to("cpu", torch.float64).numpy()

    patterns = []
    for row in range(len(trace.batch)):
        live = embedding.traced[row]
        patterns.append(
            Patterns(
                source=embedding.nodes[0][row, live, 0].cpu().numpy(),
                total=array(embedding.total[row, live]),
                influence=array(embedding.influence[row, live]),
                positions=positions[row][live.cpu().numpy()],
                head_influence=None if refined is None else array(refined.influence[row, live]),
                heads=None if heads is None else heads[row][live.cpu().numpy()],
                gap=None if gaps is None else array(gaps[row]),
            )
        )
    return patterns


def _stack(layers: list[Tensor], missing: int) -> np.ndarray:
    """Tensors (B, W, a[, b]) of all layers, of different a and b, as one array (B, W, layers, k[, k]) filled with `missing`."""
    k = max(max(x.shape[2:]) for x in layers)
    shape = (*layers[0].shape[:2], len(layers), *[k] * (layers[0].ndim - 2))
    out = np.full(shape, missing)
    for layer, x in enumerate(layers):
        filled: tuple[int | slice, ...] = (slice(None), slice(None), layer, *(slice(n) for n in x.shape[2:]))
        out[filled] = x.cpu().numpy()
    return out
