"""Share of the words' influence that their patterns carry.

Variants: <sign>/<level> with sign `positive` or `negative` and level `embedding` or `attention` is the mean over instances that
have such words; <sign>/<level>/corpus is the ratio of sums over all instances.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ...core.errors import NotApplicable
from ...core.settings import Settings
from ...models.flow.flow_model import FlowModel
from ...tasks.instance import Instance
from ..base import Aggregate, ExplainedBatch, ExplainedDraw, Scores, frame, score_row
from ..registry import metric
from ..summary import RATIO_NEEDS, summarise, summarise_sums
from .pattern_cases import pattern_cases, ratio_of_sums

NO_HEAD_INFLUENCE = "the patterns have no influence at the attention level."
SIGNS = {"positive": 1, "negative": -1}
LEVELS = {"embedding": "influence", "attention": "head_influence"}

Reading = Literal["sums", "words"]
"""The two readings of "the share of influence that patterns carry"."""


@metric(
    "concentration",
    reads="patterns",
    ranked="positive/embedding",
    higher_is_better=True,
    unit="share of influence",
    source="Lu et al. 2021, section 4.4",
    misleads="It measures how little is kept, and not whether it is right: read ablated accuracy beside it. Where other paths "
    "work against the patterns, it exceeds 1.",
)
@dataclass(frozen=True)
class Concentration(Settings):
    """Share of the positive and of the negative influence that the patterns carry.

    sum_j I(x, pi_j) / sum_j g_j over the words with g_j > 0, and over those with g_j < 0. At most 1 where no other path works
    against a word; unbounded in general. Higher is better: fewer nodes explain more. Source: Lu et al. 2021, section 4.4.

    The paper's sentence can be read in two ways: as this ratio of sums (`reading=sums`), in which words count by their influence,
    or as the mean over the same words of I(x, pi_j) / g_j (`reading=words`), in which each counts as much.

    Attributes:
        reading: `sums` or `words`.
    """

    reading: Reading = "sums"

    def score(self, model: FlowModel, explained: Sequence[ExplainedBatch], reference: Sequence[ExplainedBatch] | None) -> Scores:
        """One score row for each instance and variant; instances without such words are undefined."""
        rows, sums = [], dict[str, dict[str, tuple[float, float, Instance]]]()
        for case in pattern_cases(explained):
            if case.explanation.tokens is None:
                raise NotApplicable("the method's patterns come without token scores, so they have no share of the influence.")
            for variant, carried, whole, reason in parts(case, self.reading):
                rows.append(score_row(case.instance, variant, np.nan if reason else carried / whole, case.draw, reason))
                if not reason:
                    by_instance = sums.setdefault(f"{variant}/corpus", {})
                    before = by_instance.get(case.instance.id, (0.0, 0.0, case.instance))
                    by_instance[case.instance.id] = (before[0] + carried, before[1] + whole, case.instance)
        table = frame(rows)
        corpus = (_corpus(variant, by_instance) for variant, by_instance in sums.items())
        return Scores(table, (*summarise(table), *corpus))


def parts(case: ExplainedDraw, reading: Reading = "sums") -> list[tuple[str, float, float, str]]:
    """Each variant with a numerator and a denominator, whose ratio is the score, and the reason where it is undefined.

    Args:
        case: The patterns of one instance.
        reading: `sums`: the influence that patterns carry, and that of their words (units of q); `words`: the sum over words of
            the share that its patterns carry, and the number of words.
    """
    patterns, variants = case.patterns, []
    first = np.unique(patterns.source, return_index=True)[1]  # a word may have several patterns
    for sign, direction in SIGNS.items():
        words = patterns.total * direction > 0
        size = np.ones(words.sum()) if reading == "sums" else patterns.total[words]
        whole = float(patterns.total[first][words[first]].sum() if reading == "sums" else words[first].sum())
        for level, name in LEVELS.items():
            influence = getattr(patterns, name)
            reason = NO_HEAD_INFLUENCE if influence is None else "" if words.any() else f"no word has {sign} influence."
            variants.append(
                (f"{sign}/{level}", np.nan if influence is None else float((influence[words] / size).sum()), whole, reason)
            )
    return variants


def _corpus(variant: str, sums: dict[str, tuple[float, float, Instance]]) -> Aggregate:
    """The ratio of sums over instances; an instance's draws are summed first, since they do not vary independently."""
    features = np.array([(carried, whole) for carried, whole, _ in sums.values()])
    instances = [instance for *_, instance in sums.values()]
    return summarise_sums((variant,), features, instances, ratio_of_sums, needs=RATIO_NEEDS, weights=np.abs(features[:, 1]))[0]
