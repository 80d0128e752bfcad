"""Retained paths over all paths.

Variants: `embedding` (the ranked one), `attention`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...models.flow.flow_model import FlowModel
from ...models.flow.graph import all_paths
from ..base import BatchMetric, ExplainedBatch, score_row
from ..registry import metric
from .pattern_cases import NO_HEADS, pattern_cases


@metric(
    "path_share",
    reads="patterns",
    ranked="embedding",
    higher_is_better=False,
    unit="share of paths",
    bounds=(0.0, 1.0),
    source="Lu et al. 2021, section 4.4",
    misleads="It measures how little is kept, and not whether it is right: any wrong paths of the same number score the same. "
    "It shrinks with every layer and token, so that only one model on the same instances can be compared.",
)
@dataclass(frozen=True)
class PathShare(BatchMetric):
    """Share of all paths that the patterns retain, counted exactly.

    Source-to-target paths inside the subgraph of Pi_+ (every pattern with a positive total; all patterns of a method without
    signs) over N^L, or (N A + 1)^L at the attention level, by dynamic programming in exact integers; 0 without such words.
    On decoders, and in layers with a window, only paths along positions that attend to each other count, in both numbers.
    In [0, 1]; lower is sparser. Source: Lu et al. 2021, section 4.4, which does not say how it counts at the attention level, so
    its value there is not comparable.
    """

    def batch_rows(self, model: FlowModel, explained: ExplainedBatch) -> Iterator[dict[str, Any]]:
        """One score row for each instance and level."""
        for case in pattern_cases([explained]):
            attends = model.attends(case.size)
            positive = case.patterns.select(case.patterns.total > 0)
            for level, heads in (("embedding", None), ("attention", model.n_heads)):
                if heads is not None and positive.heads is None:
                    yield score_row(case.instance, level, np.nan, case.draw, NO_HEADS)
                    continue
                kept = positive.subgraph(case.size, heads).paths(case.target, attends)
                share = kept / all_paths(model.n_layers, case.size, heads, attends, case.target)
                yield score_row(case.instance, level, share, case.draw)
