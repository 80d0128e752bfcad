"""Skips among the attention-level nodes of patterns, with what keeps the count from being misread.

Variants (shares over all traced words' edges, an instance at a time):

    skip_share                          skips over all edges (the ranked one; the paper's)
    same_position_share                 edges whose two ends are at one position, where alone a skip is possible
    skip_given_same                     skips over those edges
    ceiling                             the largest possible skip share: (L-1)/L for words other than the target
    influence_weighted                  |skip part| over |skip part| + |sum of heads|, summed over edges
    influence_weighted/skip_given_same  the same over edges at one position
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ...core.errors import NotApplicable
from ...models.flow import chain_rule
from ...models.flow.flow_model import FlowModel
from ...models.flow.graph import SKIP, Patterns
from ...models.flow.trace import PathSettings, PathTrace
from ...models.layers.base import select
from ..base import BatchMetric, ExplainedBatch, ExplainedDraw, score_row
from ..registry import metric
from .pattern_cases import MIXED, NO_HEADS, edges, pattern_cases, single_paths

Reading = Literal["words", "union"]
"""The two readings of "the share of skips among attention-level nodes"."""


@metric(
    "skip_share",
    reads="patterns",
    ranked="skip_share",
    higher_is_better=None,
    unit="share of edges",
    bounds=(0.0, 1.0),
    needs={"path_samples"},
    source="Lu et al. 2021, section 4.2",
    misleads="A skip is as wide as the model and competes with single heads, and most edges stay at one position, where alone "
    "there is a skip (74 % of them on a 6-layer model of SST-2): a high count does not show that information flows "
    "past attention.",
)
@dataclass(frozen=True)
class SkipShare(PathSettings, BatchMetric):
    """Share of skips among the attention-level nodes of the patterns, by count and by influence.

    The count alone mostly measures staying at one position: read it beside its ceiling, P(skip | same position) and the
    influence-weighted version, which holds the skip part of each edge of the embedding-level pattern against the sum of all its
    heads. In [0, 1]; no direction. Source: Lu et al. 2021, section 4.2.

    The paper's sentence can be read in two ways. `reading=words` counts the edges of every word's pattern, so that an edge of two
    patterns counts twice; `reading=union` counts the distinct heads and skips of the union of the patterns (`skip_share` alone).

    Attributes:
        influence: Whether the influence-weighted version is computed too; it needs the path samples again.
        reading: What `skip_share` counts: `words` or `union`.
    """

    influence: bool = True
    reading: Reading = "words"

    def batch_rows(self, model: FlowModel, explained: ExplainedBatch) -> Iterator[dict[str, Any]]:
        """One score row for each instance and variant."""
        for case in pattern_cases([explained]):
            if case.patterns.heads is None:
                raise NotApplicable(NO_HEADS)
            yield from counts(case, model.n_heads, self.reading)
            if self.influence:
                yield from self._weighted(self.trace(model, explained.batch), case)

    def _weighted(self, trace: PathTrace, case: ExplainedDraw) -> Iterator[dict[str, Any]]:
        """Score rows of the influence-weighted shares of one instance."""
        paths = single_paths(case.patterns)
        names = ("influence_weighted", "influence_weighted/skip_given_same")
        if paths is None or not len(paths):
            reason = MIXED if paths is None else "no word has a pattern."
            yield from (score_row(case.instance, name, np.nan, case.draw, reason) for name in names)
            return
        skips, total = skip_parts(trace.one(case.row), torch.from_numpy(paths).to(trace.g.device))
        skip, heads = skips.abs(), (total[:, None] - skips).abs()
        same = paths[:, 1:] == paths[:, :-1]
        reasons = ("the patterns carry no influence.", "no edge stays at its position.")
        for name, edge, reason in zip(names, (np.ones_like(same), same), reasons, strict=True):
            total_size = (skip[edge] + heads[edge]).sum().item()
            value = skip[edge].sum().item() / total_size if total_size else np.nan
            yield score_row(case.instance, name, value, case.draw, "" if total_size else reason)


def counts(case: ExplainedDraw, n_heads: int, reading: Reading = "words") -> Iterator[dict[str, Any]]:
    """Score rows of the counted shares of one instance.

    Args:
        case: The patterns of the instance.
        n_heads: Heads a layer.
        reading: What `skip_share` counts.
    """
    all_edges, patterns = edges(case.patterns), case.patterns
    same, skip = all_edges.source == all_edges.to, all_edges.code == SKIP
    none, moving = "no word has a pattern.", "no edge stays at its position."
    share = (skip.sum(), len(skip))
    if reading == "union":
        union = patterns.subgraph(case.size, n_heads)
        assert union.skips is not None and union.heads is not None
        share = (union.skips.sum(), union.skips.sum() + union.heads.sum())
    values = {
        "skip_share": (*share, none),
        "same_position_share": (same.sum(), len(same), none),
        "skip_given_same": (skip.sum(), same.sum(), moving),
        "ceiling": (most_skips(patterns, case.target), len(patterns) * (patterns.positions.shape[1] - 1), none),
    }
    for variant, (part, whole, reason) in values.items():
        yield score_row(case.instance, variant, float(part / whole) if whole else np.nan, case.draw, "" if whole else reason)


def most_skips(patterns: Patterns, target: int) -> int:
    """The largest number of skips that paths from these words can have: a word away from the target must change position once.

    Args:
        patterns: One pattern a word.
        target: The position that q reads.
    """
    layers = patterns.positions.shape[1] - 1
    return int((layers - (patterns.source != target)).sum())


def skip_parts(
    trace: PathTrace, paths: Int[Tensor, "patterns depths"]
) -> tuple[Float[Tensor, "patterns layers"], Float[Tensor, " patterns"]]:
    """The part of each path's influence that takes the skip at layer l, at the other layers skip and heads, and the influence.

    It is the product of the path's tangent, forwards from the word to hidden[l], and its gradient, backwards from q to the skip
    of layer l (units of q).

    Args:
        trace: Path samples of one instance.
        paths: Positions at l = 0..L.

    Returns:
        The skip part (patterns, layers), and the influence of the whole path (patterns,).
    """
    nodes = [depth[None, :, None] for depth in paths.T]
    with torch.no_grad():
        pieces = [_skip_parts(piece, nodes) for piece in trace.pieces()]
    skips, heads = (parts[0] if len(pieces) == 1 else torch.stack(parts).sum(0) for parts in zip(*pieces, strict=True))
    # Every path takes the first layer by its heads or by its skip: both parts make up its influence.
    return skips, heads + skips[:, 0]


def _skip_parts(trace: PathTrace, nodes: Sequence[Int[Tensor, "1 patterns 1"]]) -> tuple[Tensor, Tensor]:
    """Each path's part by the skip of each layer (patterns, layers), and its part by the heads of the first one (patterns,)."""
    skips, contexts = _forwards(trace, nodes)
    gradients = _backwards(trace, nodes)
    parts = [trace.mean((skip * grad).sum((-1, -2)))[0] for skip, (grad, _) in zip(skips, gradients, strict=True)]
    return torch.stack(parts, 1), trace.mean((contexts * gradients[0][1]).sum((-1, -2, -3)))[0]


def _forwards(trace: PathTrace, nodes: Sequence[Int[Tensor, "1 patterns 1"]]) -> tuple[list[Tensor], Tensor]:
    """Each layer's skip tangent (S, M, 1, D) along the paths, and the first layer's context tangent (S, M, 1, A, d)."""
    tangent, skips, first = chain_rule.start_tangents(trace, nodes[0]), list[Tensor](), Tensor()
    for layer, (source, to) in enumerate(pairwise(nodes)):
        skips.append(chain_rule.skip_tangents(trace, source, to, tangent))
        if layer == trace.model.n_layers - 1 and layer:
            break
        context = chain_rule.context_tangents(trace, layer, source, to, chain_rule.project(trace, layer, source, tangent))[
            :, :, :, 0
        ]
        first = context if layer == 0 else first
        tangent = chain_rule.advance(trace, layer, to, skips[-1], context)
    return skips, first


def _backwards(trace: PathTrace, nodes: Sequence[Int[Tensor, "1 patterns 1"]]) -> list[tuple[Tensor, Tensor]]:
    """Gradients of each layer's skip (S, M, 1, D) and context vectors (S, M, 1, A, d) at the nodes of paths."""
    last = trace.model.n_layers - 1
    targets = trace.at(nodes[-1])
    grads = [(select(trace.grad_skip[last].flatten(0, 1), targets), select(trace.grad_context[last].flatten(0, 1), targets))]
    for layer in range(last, 0, -1):
        source, to = nodes[layer], nodes[layer + 1]
        skip, context = grads[-1]
        pulled = trace.tangents[layer].project_vjp(trace.at(source), chain_rule.context_pull(trace, layer, source, to, context))
        through = pulled + skip * chain_rule.same_position(trace, source, to)[..., 0, None]
        grads.append(trace.tangents[layer - 1].finish_vjp(trace.at(source), through))
    return grads[::-1]
