"""The built-in metrics by name, and `@metric`, which declares one. It imports neither torch nor pandas: listing must be quick."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Literal

from ..core.declare import FunctionPlugin, decorator
from ..core.errors import UsageError
from ..core.needs import check_needs
from ..core.registry import Registry, check_name

READS = ("tokens", "nodes", "flows", "units", "heads", "edges", "mask", "patterns", "circuit", "values")
SCOPES = ("instance", "set", "cells")

METRICS = Registry(
    "metric",
    "flowgauge.metrics",
    {
        "ablated_accuracy": "flowgauge.metrics.nodes.ablated_accuracy:AblatedAccuracy",
        "retention_curve": "flowgauge.metrics.nodes.retention_curve:RetentionCurve",
        "deletion_curve": "flowgauge.metrics.nodes.retention_curve:DeletionCurve",
        "ablation_shift": "flowgauge.metrics.nodes.ablation_shift:AblationShift",
        "head_pruning": "flowgauge.metrics.heads.head_pruning:HeadPruning",
        "layer_head_pruning": "flowgauge.metrics.heads.head_pruning:LayerHeadPruning",
        "circuit_performance": "flowgauge.metrics.circuits.circuit_faithfulness:CircuitPerformance",
        "circuit_distance": "flowgauge.metrics.circuits.circuit_faithfulness:CircuitDistance",
        "receptive_field": "flowgauge.metrics.edges.receptive_field:ReceptiveField",
        "head_universality": "flowgauge.metrics.heads.head_universality:HeadUniversality",
        "stability": "flowgauge.metrics.tokens.stability:Stability",
        "trigger_drop": "flowgauge.metrics.edges.trigger_drop:TriggerDrop",
        "concentration": "flowgauge.metrics.patterns.concentration:Concentration",
        "path_share": "flowgauge.metrics.patterns.path_share:PathShare",
        "skip_share": "flowgauge.metrics.patterns.skip_share:SkipShare",
        "alignment_rate": "flowgauge.metrics.patterns.alignment_rate:AlignmentRate",
        "pattern_entropy": "flowgauge.metrics.patterns.pattern_entropy:PatternEntropy",
        "random_rank": "flowgauge.metrics.patterns.random_rank:RandomRank",
        "comprehensiveness": "flowgauge.metrics.tokens.comprehensiveness_and_sufficiency:Comprehensiveness",
        "sufficiency": "flowgauge.metrics.tokens.comprehensiveness_and_sufficiency:Sufficiency",
        "log_odds": "flowgauge.metrics.tokens.comprehensiveness_and_sufficiency:LogOdds",
        "word_insertion": "flowgauge.metrics.tokens.word_curves:WordInsertion",
        "word_deletion": "flowgauge.metrics.tokens.word_curves:WordDeletion",
        "soft_comprehensiveness": ("flowgauge.metrics.tokens.soft_comprehensiveness_and_sufficiency:SoftComprehensiveness"),
        "soft_sufficiency": "flowgauge.metrics.tokens.soft_comprehensiveness_and_sufficiency:SoftSufficiency",
        "naopc_comprehensiveness": "flowgauge.metrics.tokens.naopc:NormalisedComprehensiveness",
        "naopc_sufficiency": "flowgauge.metrics.tokens.naopc:NormalisedSufficiency",
        "loo_correlation": "flowgauge.metrics.tokens.loo_correlation:LooCorrelation",
        "infidelity": "flowgauge.metrics.tokens.infidelity_and_sensitivity:Infidelity",
        "sensitivity": "flowgauge.metrics.tokens.infidelity_and_sensitivity:Sensitivity",
        "plausibility": "flowgauge.metrics.tokens.plausibility:Plausibility",
        "pointing": "flowgauge.metrics.tokens.pointing:Pointing",
        "ground_truth_divergence": "flowgauge.metrics.nodes.ground_truth_divergence:GroundTruthDivergence",
        "optimality": "flowgauge.metrics.masks.optimality:Optimality",
        "masked_divergence": "flowgauge.metrics.masks.masked_predictions:MaskedDivergence",
        "masked_accuracy": "flowgauge.metrics.masks.masked_predictions:MaskedAccuracy",
        "masked_f1": "flowgauge.metrics.masks.masked_predictions:MaskedF1",
        "share_masked": "flowgauge.metrics.masks.masked_predictions:ShareMasked",
        "depth_kept": "flowgauge.metrics.masks.depth_kept:DepthKept",
        "ground_truth": "flowgauge.metrics.nodes.ground_truth:GroundTruth",
        "repeatability": "flowgauge.metrics.tokens.repeatability:Repeatability",
        "parameter_randomisation": "flowgauge.metrics.sanity.parameter_randomisation:ParameterRandomisation",
        "random_rationale_test": "flowgauge.metrics.sanity.random_rationales:RandomRationaleTest",
        "completeness_error": "flowgauge.metrics.tokens.completeness_error:CompletenessError",
    },
)


class FunctionMetric(FunctionPlugin):
    """A plain function as a metric; its keyword arguments after `model, explained, reference` are the settings."""

    def score(self, model: Any, explained: Any, reference: Any) -> Any:
        """Calls the function with its settings."""
        return self.function(model, explained, reference, **self.options)


def metric(
    name: str,
    *,
    reads: str,
    higher_is_better: bool | None,
    unit: str,
    source: str = "",
    bounds: tuple[float | None, float | None] = (None, None),
    scope: Literal["instance", "set", "cells"] = "instance",
    reference: str | None = None,
    ranked: str = "",
    needs: Collection[str] = (),
    pools: bool = False,
    version: int = 1,
    misleads: str = "",
) -> Callable[[Any], Any]:
    """Declares a class with `score`, or a function `(model, explained, reference, **settings) -> Scores`, as a metric.

    Args:
        name: The metric's name on the command line.
        reads: The view that it needs.
        higher_is_better: None where neither end is better.
        unit: Such as `share of instances`.
        source: The publication that defines it: authors, year, title, and the section or equation if useful.
        bounds: Smallest and largest possible value.
        scope: `instance`, `set` or `cells`.
        reference: Name of the method whose budget it matches; the plan adds that method's cell.
        ranked: The variant that tables and rankings use; empty: the first.
        needs: Words of `core.needs.NEEDS`, such as `transformer`; where they are not met, the metric is not applicable.
        pools: Whether the score of an instance depends on the other explained instances, so that no sample can be scored alone.
        version: Raised by any change that moves scores.
        misleads: When its numbers mislead, in a sentence or two, with the source of what was found elsewhere.

    Raises:
        UsageError: The name cannot stand in a command, a view or scope does not exist, or bounds are in the wrong order.
    """
    check_name("metric", name)
    for kind, given, known in (("view", reads, READS), ("scope", scope, SCOPES)):
        if given not in known:
            raise UsageError(f"metric {name!r} names the {kind} {given!r}; there are {', '.join(known)}.")
    if bounds[0] is not None and bounds[1] is not None and bounds[0] > bounds[1]:
        raise UsageError(f"metric {name!r} has the bounds {bounds}: the smaller comes first.")
    metadata = {
        "name": name, "version": version, "scope": scope, "reads": reads, "higher_is_better": higher_is_better, "bounds": bounds,
        "unit": unit, "source": source, "reference": reference, "ranked": ranked,
        "needs": check_needs("metric", name, needs), "pools": pools,
        "misleads": misleads,
    }  # fmt: skip
    return decorator("metric", metadata, FunctionMetric, leading=3)
