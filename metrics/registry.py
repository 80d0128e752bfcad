"""The built-in metrics by name, and `@metric`, which declares one. No torch, no pandas: listing must be quick."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Literal

from ..core.declare import FunctionPlugin, decorator
from ..core.errors import UsageError
from ..core.needs import check_needs
from ..core.registry import Entry, Registry, check_name

READS = ("tokens", "nodes", "flows", "units", "heads", "edges", "mask", "patterns", "values")
SCOPES = ("instance", "set", "cells")

METRICS = Registry(
    "metric",
    "flowgauge.metrics",
    {
        "ablated_accuracy": Entry(
            "flowgauge.metrics.nodes.ablated_accuracy:AblatedAccuracy",
            "Accuracy of the model reduced to the nodes an explanation keeps, at a matched budget.",
        ),
        "retention_curve": Entry(
            "flowgauge.metrics.nodes.retention_curve:RetentionCurve",
            "Accuracy when only the top share of each layer's nodes is kept, and its area.",
        ),
        "deletion_curve": Entry(
            "flowgauge.metrics.nodes.retention_curve:DeletionCurve",
            "Accuracy when the top share of each layer's nodes is removed, and its area.",
        ),
        "head_pruning": Entry(
            "flowgauge.metrics.heads.head_pruning:HeadPruning",
            "Accuracy against the share of heads pruned, least and most important first, and its area.",
        ),
        "layer_head_pruning": Entry(
            "flowgauge.metrics.heads.head_pruning:LayerHeadPruning",
            "Accuracy against the number of heads pruned in every layer, least and most important first, and its area.",
        ),
        "receptive_field": Entry(
            "flowgauge.metrics.edges.receptive_field:ReceptiveField",
            "How far apart the positions are that an explanation connects, layer by layer.",
        ),
        "head_universality": Entry(
            "flowgauge.metrics.heads.head_universality:HeadUniversality",
            "How much head importance on two tasks agrees: Pearson's r over the heads.",
        ),
        "stability": Entry(
            "flowgauge.metrics.tokens.stability:Stability",
            "How much scores hang on the seed: their standard deviation over seeds, averaged.",
        ),
        "trigger_drop": Entry(
            "flowgauge.metrics.edges.trigger_drop:TriggerDrop",
            "How much accuracy the triggers cost that an explanation's strongest edges suggest.",
        ),
        "concentration": Entry(
            "flowgauge.metrics.patterns.concentration:Concentration",
            "Share of the positive and of the negative influence that the patterns carry.",
        ),
        "path_share": Entry("flowgauge.metrics.patterns.path_share:PathShare", "Retained paths over all paths, counted exactly."),
        "skip_share": Entry(
            "flowgauge.metrics.patterns.skip_share:SkipShare",
            "Share of skips among the attention-level nodes of the patterns, by count and by influence.",
        ),
        "alignment_rate": Entry(
            "flowgauge.metrics.patterns.alignment_rate:AlignmentRate",
            "How often a pattern's head is the one with the largest attention on its edge.",
        ),
        "pattern_entropy": Entry(
            "flowgauge.metrics.patterns.pattern_entropy:PatternEntropy",
            "How much patterns differ between the instances of one template (bits).",
        ),
        "random_rank": Entry(
            "flowgauge.metrics.patterns.random_rank:RandomRank",
            "How many of 1000 random patterns carry less influence, with p-values.",
        ),
        "comprehensiveness": Entry(
            "flowgauge.metrics.tokens.comprehensiveness_and_sufficiency:Comprehensiveness",
            "How much the predicted output's probability falls when the top words are removed.",
        ),
        "sufficiency": Entry(
            "flowgauge.metrics.tokens.comprehensiveness_and_sufficiency:Sufficiency",
            "How much the predicted output's probability falls when only the top words are left.",
        ),
        "loo_correlation": Entry(
            "flowgauge.metrics.tokens.loo_correlation:LooCorrelation",
            "Kendall's tau between token scores and the fall of q when a word is left out.",
        ),
        "infidelity": Entry(
            "flowgauge.metrics.tokens.infidelity_and_sensitivity:Infidelity",
            "How badly scores predict the fall of q when random words are removed.",
        ),
        "sensitivity": Entry(
            "flowgauge.metrics.tokens.infidelity_and_sensitivity:Sensitivity",
            "How far an explanation moves when the word vectors move a little.",
        ),
        "plausibility": Entry(
            "flowgauge.metrics.tokens.plausibility:Plausibility",
            "How well the words an explanation ranks first are those that people gave a sentiment.",
        ),
        "ground_truth_divergence": Entry(
            "flowgauge.metrics.nodes.ground_truth_divergence:GroundTruthDivergence",
            "How far an explanation, spread over positions, is from even weight on those known to matter.",
        ),
        "optimality": Entry(
            "flowgauge.metrics.masks.optimality:Optimality",
            "How well the words a mask keeps are those of the smallest sets that keep the prediction, by exact search.",
        ),
        "masked_divergence": Entry(
            "flowgauge.metrics.masks.masked_predictions:MaskedDivergence",
            "How far the output moves when what a mask drops is replaced: KL(clean || masked), depth by depth.",
        ),
        "masked_accuracy": Entry(
            "flowgauge.metrics.masks.masked_predictions:MaskedAccuracy",
            "How often the prediction stays, and is right, with only what a mask keeps.",
        ),
        "masked_f1": Entry("flowgauge.metrics.masks.masked_predictions:MaskedF1", "Macro-F1 of the model on what a mask keeps."),
        "share_masked": Entry(
            "flowgauge.metrics.masks.masked_predictions:ShareMasked", "How much a mask drops, of words and of hidden states."
        ),
        "depth_kept": Entry(
            "flowgauge.metrics.masks.depth_kept:DepthKept", "Over how many depths a mask keeps the tokens of each class."
        ),
        "ground_truth": Entry(
            "flowgauge.metrics.nodes.ground_truth:GroundTruth",
            "How well an explanation of the gold answer finds the path that was planted in the model.",
        ),
        "completeness_error": Entry(
            "flowgauge.metrics.tokens.completeness_error:CompletenessError",
            "How far scores are from summing to the change of the output that they claim to share out.",
        ),
    },
)


class FunctionMetric(FunctionPlugin):
    """A plain function as a metric; its keyword arguments after `model, shown, reference` are the settings."""

    def score(self, model: Any, shown: Any, reference: Any) -> Any:
        """Calls the function with its settings."""
        return self.function(model, shown, reference, **self.options)


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
) -> Callable[[Any], Any]:
    """Declares a class with `score`, or a function `(model, shown, reference, **settings) -> Scores`, as a metric.

    Args:
        name: As on the command line.
        reads: The view it needs.
        higher_is_better: None where neither end is better.
        unit: Such as `share of instances`.
        source: Who published it: authors, year, title, and the section or equation if useful.
        bounds: Smallest and largest possible value.
        scope: `instance`, `set` or `cells`.
        reference: Name of the method it is matched to; the plan adds that method's cell.
        ranked: The variant that tables and rankings use; empty: the first.
        needs: Words of `core.needs.NEEDS`, such as `transformer`; where they are not met, the metric is not applicable.
        pools: Whether the score of an instance rests on the others that are shown; then no sample of them can be scored alone.
        version: Raised by any change that moves scores.

    Raises:
        UsageError: A name that cannot be one, a view or scope that does not exist, bounds in the wrong order.
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
    }  # fmt: skip
    return decorator("metric", metadata, FunctionMetric, leading=3)
