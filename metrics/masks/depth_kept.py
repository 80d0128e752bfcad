"""Over how many depths a mask keeps the tokens of each class.

Variants: `all` (the ranked one) over tokens that are not special, `class/<name>` for each class of words, `special/<token>`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from ...core.settings import Settings
from ...models.flow.flow_model import FlowModel
from ...tasks.instance import Instance
from ..base import Aggregate, ExplainedBatch, Scores, frame, score_row
from ..reduced_models.masks import masks
from ..registry import metric
from ..statistics.intervals import mean_of_sums
from ..summary import RATIO_NEEDS, summarise_sums
from .token_classes import By, token_classes


@metric(
    "depth_kept", reads="mask", scope="set", ranked="all", higher_is_better=None, unit="depths", bounds=(0.0, None),
    source="De Cao et al. 2020, figures 4 and 5",
    misleads="It describes and does not judge. The masks of different depths may come from separate trainings, and classes of "
    "words from a tagger that errs.",
)  # fmt: skip
@dataclass(frozen=True)
class DepthKept(Settings):
    """Over how many depths a mask keeps the tokens of each class.

    The sum of P(keep) over depths 0 to L + 1. Means over all tokens of a class, with intervals of ratios of sums over
    instances, by the jackknife; the rows have each instance's means. The mask is that of the predicted answer. From 0 to L + 2;
    neither end is better. Source: De Cao et al. 2020, figures 4 (sentiment) and 5 (parts of speech, here by the tagger in
    `flowgauge[pos]`, there by spaCy).

    Attributes:
        by: What the classes are: the word's `label` (`sst`), the template's `slot`, or its `part_of_speech`.
    """

    by: By = "label"

    def score(self, model: FlowModel, explained: Sequence[ExplainedBatch], reference: Sequence[ExplainedBatch] | None) -> Scores:
        """One score row for each instance, class and draw, and the means over all tokens of a class, of the first draw."""
        rows: list[dict[str, Any]] = []
        sums: list[dict[str, Float[np.ndarray, " two"]]] = []
        instances: list[Instance] = []
        for batch in explained:
            for draw, explanations in enumerate(zip(*(each.each() for each in batch.predicted), strict=True)):
                kept = masks(model, batch.batch, explanations, "expected").sum(0)
                for row, instance in enumerate(batch.instances):
                    instance_sums = _sums(kept[row], _variants(model, batch, row, self.by))
                    rows += [score_row(instance, name, total / count, draw) for name, (total, count) in instance_sums.items()]
                    if draw == 0:
                        sums.append(instance_sums)
                        instances.append(instance)
        return Scores(frame(rows), _aggregates(sums, instances))


def _variants(model: FlowModel, explained: ExplainedBatch, row: int, by: By) -> list[tuple[str, ...]]:
    """The variants that each token of an instance counts for."""
    special = (explained.batch.word_ids[row][explained.batch.attention_mask[row]][:, 0] < 0).tolist()
    classes = token_classes(model, explained.batch, row, explained.instances[row], by)
    return [(f"special/{name}",) if marks else ("all", f"class/{name}") for name, marks in zip(classes, special, strict=True)]


def _sums(kept: Float[np.ndarray, " tokens"], variants: Sequence[tuple[str, ...]]) -> dict[str, Float[np.ndarray, " two"]]:
    """The sum over the tokens of each variant, and the number of tokens."""
    sums: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(2))
    for depth, names in zip(kept, variants, strict=False):
        for name in names:
            sums[name] += (depth, 1)
    return sums


def _aggregates(sums: Sequence[dict[str, Float[np.ndarray, " two"]]], instances: Sequence[Instance]) -> tuple[Aggregate, ...]:
    """Means over tokens: the ranked variant first, then classes by name."""
    aggregates = tuple[Aggregate, ...]()
    for name in sorted({name for of_instance in sums for name in of_instance}):
        having = [instance for instance, of_instance in zip(instances, sums, strict=True) if name in of_instance]
        features = np.stack([of_instance[name] for of_instance in sums if name in of_instance])
        weights, bounds = features[:, 1], (0.0, None)
        aggregates += summarise_sums((name,), features, having, mean_of_sums, bounds, needs=RATIO_NEEDS, weights=weights)
    return aggregates
