"""How far the prediction's probability falls when each word loses a part of its vector that depends on its score.

Variants: `normalised`, by the fall without any word (the ranked one); `raw`, before that.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
import torch
from jaxtyping import Bool, Float
from pydantic import PositiveInt
from torch import Tensor

from ...core.settings import Settings
from ...methods.perturbation.captum_words import single_instances
from ...methods.views import token_scores
from ...models.batch import Batch
from ...models.flow.flow_model import FlowModel
from ...models.memory import rows_at_once
from ..base import BatchMetric, ExplainedBatch
from ..registry import metric
from .word_removal import NO_WORD, ROWS, clean_probability, removable

LEAST = 0.01
"""Smallest fall without any word by which others are normalised; a share of less would be noise."""
ROUNDING = 1e-5
"""Scores that differ by less, as a share of the largest, are equal."""
NO_FALL = f"the prediction hardly becomes less probable without any word (by less than {LEAST}), so nothing is normalised by it."
CONSTANT = "the scores of the words are all the same, so that they cannot be brought to 0 to 1."


@dataclass(frozen=True)
class _SoftRemoval(Settings, BatchMetric):
    """The setting and the computation that both metrics share.

    Attributes:
        samples: Number of random choices of what stays, the same for all methods.
        keep: Whether a word's score is the probability that an element of its vector stays, or that it goes.
    """

    samples: PositiveInt = 20
    keep: ClassVar[bool]

    def batch_rows(self, model: FlowModel, explained: ExplainedBatch) -> Iterator[dict[str, Any]]:
        """One score row for each instance, variant and draw."""
        cases = list(explained.draws("predicted"))
        for row, single in enumerate(single_instances(explained.predicted_batch)):
            words = removable(single) & model.maskable(single)
            free, defined, stay = words[0].cpu().numpy(), [], []
            for case in (case for case in cases if case.row == row):
                scores = token_scores(case.explanation)[free].astype(float)
                if len(scores) < 2 or np.ptp(scores) <= ROUNDING * np.abs(scores).max(initial=0):
                    reason = CONSTANT if len(scores) else NO_WORD
                    yield from case.score_rows(dict.fromkeys(("normalised", "raw"), (np.nan, reason)))
                    continue
                share = (scores - scores.min()) / np.ptp(scores)
                stay.append(np.ones(len(free)))
                stay[-1][free] = share if self.keep else 1 - share
                defined.append(case)
            if not defined:
                continue
            whole, empty = (clean_probability(model, part)[0] for part in (single, emptied(model, single, words)))
            falls = np.maximum(0, whole - sampled_probabilities(model, single, np.array(stay), self.samples)).mean(0)
            for case, fall in zip(defined, falls, strict=True):
                yield from case.score_rows(self._values(float(fall), float(whole - empty)))

    def _values(self, fall: float, most: float) -> dict[str, tuple[float, str]]:
        """Both variants, from the mean fall of the probability and the fall without any word."""
        share, reason = (fall / most, "") if most >= LEAST else (np.nan, NO_FALL)
        return {"normalised": (1 - share if self.keep else share, reason), "raw": (1 - fall if self.keep else fall, "")}


@metric(
    "soft_comprehensiveness", reads="tokens", ranked="normalised", higher_is_better=True, unit="share of the fall",
    bounds=(0.0, None), source="Zhao & Aletras 2023",
    misleads="It rewards methods that give many words high scores, whichever these are, since these lose more of the text "
    "(Grad-ELLM 2026, arXiv 2601.03089). Vectors with missing elements are unlike any that the model was trained on.",
)  # fmt: skip
@dataclass(frozen=True)
class SoftComprehensiveness(_SoftRemoval):
    """How much the predicted output's probability falls when words lose the more of their vectors the higher they score.

    Each element of the vector of word i becomes 0 with probability a_i, its score brought to 0 to 1 by the smallest and the
    largest score of the text's words (Soft-NC): max(0, p(x) - p(x')) / (p(x) - p(0)), the mean over samples, where x' is what is
    left and 0 the text whose words' vectors are zeros. The words are those of `comprehensiveness`; other tokens stay whole. At
    least 0, and 1 where as much is lost as without any word; higher is better. Undefined where p(x) - p(0) is below .01. `raw` is
    the numerator. Source: Zhao & Aletras 2023.
    """

    keep: ClassVar[bool] = False


@metric(
    "soft_sufficiency", reads="tokens", ranked="normalised", higher_is_better=True, unit="share of the fall",
    bounds=(None, 1.0), source="Zhao & Aletras 2023",
    misleads="It rewards methods that give many words high scores, whichever these are, since these keep more of the text "
    "(Grad-ELLM 2026, arXiv 2601.03089). Vectors with missing elements are unlike any that the model was trained on.",
)  # fmt: skip
@dataclass(frozen=True)
class SoftSufficiency(_SoftRemoval):
    """How much of the predicted output's probability stays when words keep the more of their vectors the higher they score.

    Each element of the vector of word i stays with probability a_i, and becomes 0 otherwise (Soft-NS):
    1 - max(0, p(x) - p(x')) / (p(x) - p(0)), with the terms of `soft_comprehensiveness`. At most 1, where nothing is lost, and 0
    where as much is lost as without any word; higher is better, unlike `sufficiency`. `raw` is 1 - max(0, p(x) - p(x')). Source:
    Zhao & Aletras 2023.
    """

    keep: ClassVar[bool] = True


def emptied(model: FlowModel, single: Batch, words: Bool[Tensor, "one tokens"]) -> Batch:
    """The instance with zeros in place of the vectors of some words."""
    return replace(single, word_vectors=model.words(single).masked_fill(words[..., None], 0), cache={})


@torch.no_grad()
def sampled_probabilities(
    model: FlowModel, single: Batch, stay: Float[np.ndarray, "draws tokens"], samples: int
) -> Float[np.ndarray, "samples draws"]:
    """Probability of the answer of an instance when elements of its word vectors stay at random, and are 0 otherwise.

    Args:
        model: The model.
        single: The instance, without padding; its seed decides what is drawn, which is the same for all draws.
        stay: Probability that an element of each token's vector stays.
        samples: How often to draw.
    """
    words, (generator,) = model.words(single), single.generators()
    chances = torch.from_numpy(stay)[..., None].to(words.device)
    at_once = rows_at_once(model, words.shape[1], ROWS)
    together, parts = max(1, at_once // len(stay)), []
    for start in range(0, samples, together):
        count = min(together, samples - start)
        uniform = torch.stack([torch.rand(words.shape[1:], generator=generator) for _ in range(count)]).to(words.device)
        for kept in (uniform[:, None] < chances).flatten(0, 1).split(at_once):
            rows = single.rows(torch.zeros(len(kept), dtype=torch.long, device=words.device))
            parts.append(clean_probability(model, replace(rows, word_vectors=words * kept)))
    return np.concatenate(parts).reshape(samples, len(stay))
