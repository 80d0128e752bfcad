"""Influence patterns without their skips: a control of the attention level."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ...models.baseline import Baseline
from ...models.batch import Batch
from ...models.flow.flow_model import FlowModel
from ...models.flow.graph import ALL_HEADS, SKIP, Patterns
from ...models.flow.quadrature import Rule, check_quadrature
from ..base import method
from ..explanation import Explanation
from .influence_patterns import InfluencePatterns


@method(
    "repl-skip",
    gives={"tokens", "flows", "patterns"},
    needs={"transformer", "target", "path_samples"},
    source="Lu et al. 2021, Influence Patterns for Explaining Information Flow in BERT, section 4.4",
)
@dataclass(frozen=True)
class ReplacedSkips:
    """Influence patterns with each skip connection replaced by all heads, as a control (Lu et al. 2021).

    If skips matter as the patterns say, this loses accuracy although it keeps more nodes. Source: Lu et al. 2021, section 4.4.
    The attention-level influence is left out: it is not that of these nodes.

    Attributes:
        rule: Quadrature rule of the path integral.
        samples: Its nodes.
        baseline: Word vectors the path starts at.
    """

    rule: Rule = "midpoint"
    samples: int = 50
    baseline: Baseline = "mask"

    def __post_init__(self) -> None:
        check_quadrature(self.rule, self.samples)

    def explain(self, model: FlowModel, batch: Batch) -> list[Explanation]:
        """The patterns of `influence-patterns`, with every `SKIP` read as `ALL_HEADS`."""
        found = InfluencePatterns(self.rule, self.samples, self.baseline).explain(model, batch)
        return [replace(e, patterns=_opened(e.patterns)) for e in found if e.patterns is not None]


def _opened(patterns: Patterns) -> Patterns:
    assert patterns.heads is not None
    return replace(patterns, heads=np.where(patterns.heads == SKIP, ALL_HEADS, patterns.heads), head_influence=None)
