"""Whether patterns take the head with the most attention.

Variants: `alignment_rate` (pooled over all edges; the ranked one), `mean` (over instances), `chance` (1/A).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch

from ...core.errors import NotApplicable
from ...models.batch import Rows
from ...models.flow.flow_model import FlowModel
from ...tasks.instance import Instance
from ..base import Aggregate, ExplainedBatch, ExplainedDraw, Scores, frame, score_row
from ..registry import metric
from ..summary import RATIO_NEEDS, summarise, summarise_sums
from .pattern_cases import NO_HEADS, edges, pattern_cases, ratio_of_sums


@metric(
    "alignment_rate",
    reads="patterns",
    ranked="alignment_rate",
    higher_is_better=None,
    unit="share of edges",
    bounds=(0.0, 1.0),
    source="Lu et al. 2021, section 4.4",
    misleads="Agreement with the largest attention weight is neither right nor wrong. Chance is one over the number of heads, "
    "so that only models with equally many can be compared.",
)
@dataclass(frozen=True)
class AlignmentRate:
    """How often a pattern's head is the one with the largest attention on its edge.

    The share of the edges of all words' patterns that take one head, and take that with the largest attention weight A_l[i, p] on
    the edge from p to i, for the input itself. Pooled over edges; the interval is of the ratio of sums over instances, by
    the jackknife. In [0, 1]; chance is 1/A. Source: Lu et al. 2021, section 4.4, which gives no intervals.
    """

    def score(self, model: FlowModel, explained: Sequence[ExplainedBatch], reference: Sequence[ExplainedBatch] | None) -> Scores:
        """One score row for each instance; instances whose patterns use skips alone are undefined."""
        rows, sums, instances = [], dict[str, tuple[int, int]](), dict[str, Instance]()
        for batch in explained:
            attention: list[np.ndarray] | None = None
            for case in pattern_cases([batch]):
                attention = input_attention(model, batch) if attention is None else attention
                aligned, count = aligned_heads(case, attention)
                reason = "" if count else "no edge of the patterns takes a single head."
                rows.append(score_row(case.instance, "mean", aligned / count if count else np.nan, case.draw, reason))
                rows.append(score_row(case.instance, "chance", 1 / model.n_heads, case.draw))
                if count:
                    before = sums.get(case.instance.id, (0, 0))
                    sums[case.instance.id] = (before[0] + aligned, before[1] + count)
                    instances[case.instance.id] = case.instance
        table = frame(rows)
        summaries = summarise(table, (0.0, 1.0))
        return Scores(table, (_pooled(sums, list(instances.values()), summaries), *summaries))


def input_attention(model: FlowModel, explained: ExplainedBatch) -> list[np.ndarray]:
    """Attention weights of the input itself, one array (B, A, N, N) a layer; rows are queries."""
    batch = explained.batch
    with torch.no_grad():
        (trace,) = model.run(Rows(batch, model.embed(model.words(batch), batch)), keep={"attention"})
    return [trace.site("attention", layer).cpu().numpy() for layer in range(model.n_layers)]


def aligned_heads(case: ExplainedDraw, attention: list[np.ndarray]) -> tuple[int, int]:
    """How many of the patterns' edges take the head with the most attention, and how many take one head at all.

    Args:
        case: The patterns of one instance.
        attention: Attention weights of its batch, as from `input_attention`.

    Raises:
        NotApplicable: The patterns have no attention level.
    """
    if case.patterns.heads is None:
        raise NotApplicable(NO_HEADS)
    all_edges = edges(case.patterns)
    aligned, of_one_head = 0, np.flatnonzero(all_edges.code >= 0)
    for edge in of_one_head:
        weights = attention[all_edges.layer[edge]][case.row, :, all_edges.to[edge], all_edges.source[edge]]
        aligned += int(weights[all_edges.code[edge]] == weights.max())
    return aligned, len(of_one_head)


def _pooled(sums: dict[str, tuple[int, int]], instances: list[Instance], summaries: tuple[Aggregate, ...]) -> Aggregate:
    """The ratio of sums over instances; undefined instances are those of the mean."""
    mean = next(a for a in summaries if a.variant == "mean")
    if not sums:
        return replace(mean, variant="alignment_rate", sd_draws=None)
    features = np.array(list(sums.values()), float)
    return summarise_sums(
        ("alignment_rate",), features, instances, ratio_of_sums, (0.0, 1.0), mean.undefined, mean.reason, RATIO_NEEDS,
        features[:, 1],
    )[0]  # fmt: skip
