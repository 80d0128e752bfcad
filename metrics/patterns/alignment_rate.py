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
from ..base import Aggregate, ExplainedBatch, Scores, frame, score_row
from ..bootstrap import condition_groups, interval
from ..registry import metric
from ..summary import summarise
from .pattern_cases import NO_HEADS, PatternCase, edges, pattern_cases, ratio_of_sums


@metric(
    "alignment_rate",
    reads="patterns",
    ranked="alignment_rate",
    higher_is_better=None,
    unit="share of edges",
    bounds=(0.0, 1.0),
    source="Lu et al. 2021, section 4.4",
)
@dataclass(frozen=True)
class AlignmentRate:
    """How often a pattern's head is the one with the largest attention on its edge.

    Share of the head nodes of all patterns, words with multiplicity, whose head has the largest attention weight A_l[i, p] on
    the edge from p to i, of the input itself. Pooled over edges, bootstrapped by instance. In [0, 1]; chance is 1/A. Source: Lu
    et al. 2021, section 4.4.
    """

    def score(self, model: FlowModel, shown: Sequence[ExplainedBatch], reference: Sequence[ExplainedBatch] | None) -> Scores:
        """One row an instance; instances whose patterns use skips alone are undefined."""
        rows, sums, conditions = [], dict[str, tuple[int, int]](), dict[str, str]()
        for batch in shown:
            attention: list[np.ndarray] | None = None
            for case in pattern_cases([batch]):
                attention = input_attention(model, batch) if attention is None else attention
                aligned, count = aligned_heads(case, attention)
                reason = "" if count else "the patterns use no single head."
                rows.append(score_row(case.instance, "mean", aligned / count if count else np.nan, case.draw, reason))
                rows.append(score_row(case.instance, "chance", 1 / model.n_heads, case.draw))
                if count:
                    before = sums.get(case.instance.id, (0, 0))
                    sums[case.instance.id] = (before[0] + aligned, before[1] + count)
                    conditions[case.instance.id] = case.instance.condition
        table = frame(rows)
        apart = summarise(table)
        return Scores(table, (_pooled([*sums.values()], [*conditions.values()], apart), *apart))


def input_attention(model: FlowModel, shown: ExplainedBatch) -> list[np.ndarray]:
    """Attention weights of the input itself, one (B, A, N, N) a layer; rows are queries."""
    batch = shown.batch
    with torch.no_grad():
        (trace,) = model.run(Rows(batch, model.embed(model.words(batch), batch)), keep={"attention"})
    return [trace.site("attention", layer).cpu().numpy() for layer in range(model.n_layers)]


def aligned_heads(case: PatternCase, attention: list[np.ndarray]) -> tuple[int, int]:
    """How many of the patterns' heads have the most attention on their edge, and how many there are.

    Raises:
        NotApplicable: The patterns have no attention level.
    """
    if case.patterns.heads is None:
        raise NotApplicable(NO_HEADS)
    found = edges(case.patterns)
    aligned, heads = 0, np.flatnonzero(found.code >= 0)
    for edge in heads:
        weights = attention[found.layer[edge]][case.row, :, found.to[edge], found.source[edge]]
        aligned += int(weights[found.code[edge]] == weights.max())
    return aligned, len(heads)


def _pooled(sums: list[tuple[int, int]], conditions: list[str], apart: tuple[Aggregate, ...]) -> Aggregate:
    """Ratio of sums over instances; what is undefined is counted as for the mean."""
    mean = next(a for a in apart if a.variant == "mean")
    if not sums:
        return replace(mean, variant="alignment_rate", sd_draws=None)
    (value,), (low,), (high,) = interval(np.array(sums, float), condition_groups(np.array(conditions)), ratio_of_sums)
    return Aggregate("alignment_rate", float(value), float(low), float(high), len(sums), mean.undefined, None, mean.reason)
