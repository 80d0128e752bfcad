"""Which stored number stands in which column or row of the tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ABLATED = "ablated_accuracy"
PATTERNS = "influence-patterns"
RANKED = (ABLATED, "embedding/matched/predicted")
"""The metric and variant that methods are ranked by. Explanations of the predicted class keep the right answer from leaking."""

Format = Literal["share", "small", "number"]

MEANINGS = {
    "accuracy": "accuracy: reduced to as many nodes as Pi_+ (the nodes on patterns of words with positive influence), guided by "
    "the predicted class (ranked)",
    "agreement": "agrees: same prediction as the whole model",
    "gold": "gold: accuracy, guided by the right answer, which leaks it",
    "heads": "heads: reduced at the attention level, heads and skips too",
    "own": "own: the method's own nodes instead of the matched budget",
    "retention": "keep AUC: area of accuracy over the share of nodes kept",
    "deletion": "drop AUC: area of accuracy over the share of nodes removed (lower is better)",
    "shift": "shift: distance of reduced models' states from the nearest clean state, in spreads of clean states, at keep "
    "AUC's budgets",
    "seconds": "s/inst: seconds an explanation, shared work charged in full",
    "concentration+": "conc+/-: share of positive/negative influence on the patterns, as a ratio of sums over instances",
    "path_share": "paths: retained paths over all paths",
    "skip_share": "skips: skips among attention-level nodes; read beside ceil, its largest possible value",
    "alignment": "align: heads that have the most attention on their edge",
    "entropy": "entropy: of the union of Pi_+ over the template, bits a node",
    "random_p": "rand p: random patterns with at least as much influence, mean p",
    "completeness": "compl err: |sum - (q(x) - q(baseline))|, units of q",
}


VARIANTS = {
    "aopc": "mean over the top 1, 5, 10, 20 and 50 % of the words",
    "auc": "area under the curve",
    "hit": "1 if it is, 0 if not",
    "embedding/matched/predicted": "as many nodes as influence patterns keep, chosen for the answer that the model gives",
    "least-first/auc": "area under the curve, least important heads first",
    "nodes/auroc": "share of pairs of a planted node and another in the right order",
}
"""What the variants are that metrics rank by, where the name does not say it."""


@dataclass(frozen=True)
class Column:
    """One stored number of every method.

    Attributes:
        key: Name in JSON.
        title: Head of the column.
        metric: The metric's plain name; empty for seconds an explanation.
        variant: Of the metric.
        format: `share`: three decimals; `small`: three digits, as a power of ten where tiny; `number`: three digits.
        unit: Of a metric without a column of its own in these tables; otherwise empty.
        higher_is_better: Of a metric without a column of its own.
    """

    key: str
    title: str
    metric: str
    variant: str
    format: Format
    unit: str = ""
    higher_is_better: bool | None = None

    @property
    def meaning(self) -> str:
        """One line below the tables; empty where another column's line says it."""
        if not self.unit:
            return MEANINGS.get(self.key, "")
        better = {True: "; higher is better", False: "; lower is better", None: ""}[self.higher_is_better]
        variant = f"{self.variant} ({VARIANTS[self.variant]})" if self.variant in VARIANTS else self.variant
        return f"{self.key}: {variant}, {self.unit}{better}"


ACCURACY = Column("accuracy", "accuracy", *RANKED, "share")

FAITHFULNESS = (
    Column("agreement", "agrees", RANKED[0], f"{RANKED[1]}/agreement", "share"),
    Column("gold", "gold", RANKED[0], "embedding/matched/gold", "share"),
    Column("heads", "heads", RANKED[0], "attention/matched/predicted", "share"),
    Column("own", "own", RANKED[0], "embedding/own/predicted", "share"),
    Column("retention", "keep AUC", "retention_curve", "auc", "share"),
    Column("deletion", "drop AUC", "deletion_curve", "auc", "share"),
    Column("shift", "shift", "ablation_shift", "mean", "number"),
    Column("seconds", "s/inst", "", "", "number"),
)

SHAPE = (
    Column("concentration+", "conc+", "concentration", "positive/embedding/corpus", "share"),
    Column("concentration-", "conc-", "concentration", "negative/embedding/corpus", "share"),
    Column("path_share", "paths", "path_share", "embedding", "small"),
    Column("skip_share", "skips", "skip_share", "skip_share", "share"),
    Column("skip_ceiling", "ceil", "skip_share", "ceiling", "share"),
    Column("alignment", "align", "alignment_rate", "alignment_rate", "share"),
    Column("entropy", "entropy", "pattern_entropy", "union", "share"),
    Column("random_p", "rand p", "random_rank", "embedding/p", "small"),
    Column("completeness", "compl err", "completeness_error", "absolute", "small"),
)

COLUMNS = (ACCURACY, *FAITHFULNESS, *SHAPE)
REFERENCE_ROWS = ("original", "chance")
"""Variants of the ranked metric that stand beside the methods without a rank."""
