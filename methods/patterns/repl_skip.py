"""Replaced skips (Lu et al. 2021): influence patterns without their skip connections, a control of the attention level."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ...models.batch import Batch
from ...models.flow.flow_model import FlowModel
from ...models.flow.graph import ALL_HEADS, SKIP, Patterns
from ...models.flow.trace import PathSettings
from ..base import method
from ..explanation import Explanation
from .influence_patterns import InfluencePatterns


@method(
    "repl-skip",
    gives={"tokens", "flows", "patterns"},
    needs={"transformer", "target", "path_samples"},
    control_of="influence-patterns",
    source="Lu et al. 2021, Influence Patterns for Explaining Information Flow in BERT, section 4.4",
    misleads="It is a control and no explanation: it keeps more nodes than the patterns that it is compared with, and its "
    "scores of words are theirs.",
)
@dataclass(frozen=True)
class ReplacedSkips(PathSettings):
    """Influence patterns with each skip connection replaced by all heads, as a control (Lu et al. 2021).

    If the skips of the patterns matter, these patterns lose accuracy although they keep more nodes. Source: Lu et al. 2021,
    section 4.4. The attention-level influence is left out, since it belongs to the nodes that are replaced.
    """

    def explain(self, model: FlowModel, batch: Batch) -> list[Explanation]:
        """Replaces every `SKIP` in the patterns of `influence-patterns` by `ALL_HEADS`."""
        explained = InfluencePatterns(self.rule, self.samples, self.baseline).explain(model, batch)
        return [replace(e, patterns=_without_skips(e.patterns)) for e in explained if e.patterns is not None]


def _without_skips(patterns: Patterns) -> Patterns:
    assert patterns.heads is not None
    return replace(patterns, heads=np.where(patterns.heads == SKIP, ALL_HEADS, patterns.heads), head_influence=None)
