"""The fall of the prediction's probability as words go in order, between the least and the largest fall that any order has.

Variants: `naopc`, 0 to 1 (the ranked one); `aopc`, before that; `lowest` and `highest`, the two ends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from pydantic import Field, PositiveInt
from torch.utils.weak import WeakIdKeyDictionary

from ...models.batch import Batch
from ...models.flow.flow_model import FlowModel
from ..registry import metric
from .word_removal import Left, RankedWords, RemovedToken, WordRemoval, probabilities

LEAST = 1e-6
"""Smallest distance of the two ends that is more than rounding."""
ONE_ORDER = "every order of the words has the same area, so that none is better."


class Ends(NamedTuple):
    """Smallest and largest mean over steps of the prediction's probability, among the orders in which words may go."""

    least: float
    most: float


_ENDS_BY_MODEL = WeakIdKeyDictionary()
"""The ends of texts by model: all methods of a run ask for the same ones, and a search takes longer than a score."""


@dataclass(frozen=True)
class _NormalisedAOPC(WordRemoval):
    """The settings and the computation that both metrics share.

    Attributes:
        exact: Texts with at most so many words are searched exactly; longer ones by a beam.
        beam: How many sets of removed words are followed at each step of a longer text.
        most_words: Texts with more words have no value, since a search of them takes too long.
        reverse: Whether the least important word goes first.
    """

    exact: Annotated[int, Field(ge=1, le=16)] = 8
    beam: PositiveInt = 5
    most_words: PositiveInt = 50
    reverse: ClassVar[bool]
    variants = ("naopc", "aopc", "lowest", "highest")

    def refusal(self, words: RankedWords) -> str:
        """Why an instance has no value: no words, or too many."""
        count = int(words.candidates.sum())
        long = f"the text has {count} words, more than the {self.most_words} of most_words."
        return long if count > self.most_words else super().refusal(words)

    def inputs(self, words: RankedWords) -> Left:
        """The text after each step, without 1, 2, ..., n words."""
        steps = np.arange(1, len(words.order) + 1)
        return words.left(len(steps) - steps, keep=True) if self.reverse else words.left(steps, keep=False)

    def values(
        self, model: FlowModel, words: RankedWords, whole: float, parts: Float[np.ndarray, " inputs"]
    ) -> Mapping[str, tuple[float, str]]:
        """The area of the order, and the ends."""
        batch, row = words.case.explained.predicted_batch, words.case.row
        single = batch.rows(torch.tensor([row], device=batch.ids.device))
        single = single.only(single.attention_mask)  # so that what else is in the batch does not move the ends
        ends = ends_of(model, single, words.candidates[: words.case.size], self.operator, self._width(words))
        span, mean = ends.most - ends.least, float(parts.mean())
        share = (np.nan, ONE_ORDER) if span < LEAST else (float(np.clip((ends.most - mean) / span, 0, 1)), "")
        falls = {"aopc": whole - mean, "lowest": whole - ends.most, "highest": whole - ends.least}
        return {"naopc": share} | {name: (fall, "") for name, fall in falls.items()}

    def _width(self, words: RankedWords) -> int | None:
        return None if len(words.order) <= self.exact else self.beam


@metric(
    "naopc_comprehensiveness", reads="tokens", ranked="naopc", higher_is_better=True, unit="share of the attainable",
    bounds=(0.0, 1.0), source="Edin et al. 2025",
    misleads="The best order seeks out texts that are unlike any the model was trained on, and moves the ends with them. Of "
    "texts longer than `exact`, a beam finds the ends, and may miss the true ones.",
)  # fmt: skip
@dataclass(frozen=True)
class NormalisedComprehensiveness(_NormalisedAOPC):
    """How close the order of the words is to that whose removal lowers the prediction's probability fastest.

    NAOPC = (AOPC - lowest) / (highest - lowest), AOPC = mean over m = 1, ..., n of p(x) - p(x without the first m words), the
    ends over all n! orders of the words. Unlike AOPC, it can be compared between models. Exact for texts of at most `exact`
    words, by dynamic programming over sets of removed words; by beam search beyond, where an order past the ends counts as at
    them. The words and their order are those of `comprehensiveness`. In [0, 1]; higher is better. Source: Edin et al. 2025.
    """

    reverse: ClassVar[bool] = False


@metric(
    "naopc_sufficiency", reads="tokens", ranked="naopc", higher_is_better=False, unit="share of the attainable",
    bounds=(0.0, 1.0), source="Edin et al. 2025",
    misleads="The best order seeks out texts that are unlike any the model was trained on, and moves the ends with them. Of "
    "texts longer than `exact`, a beam finds the ends, and may miss the true ones.",
)  # fmt: skip
@dataclass(frozen=True)
class NormalisedSufficiency(_NormalisedAOPC):
    """How close the reversed order of the words is to that whose removal lowers the prediction's probability fastest.

    As `naopc_comprehensiveness`, with the least important word removed first, so that m steps leave the n - m most important
    ones. In [0, 1]; lower is better. Source: Edin et al. 2025.
    """

    reverse: ClassVar[bool] = True


def ends_of(
    model: FlowModel, single: Batch, candidates: Bool[np.ndarray, " tokens"], operator: RemovedToken, width: int | None
) -> Ends:
    """The ends of an instance, remembered as long as the model lives and its weights stay.

    Args:
        model: The explained model.
        single: The instance, without padding.
        candidates: The words that may be removed.
        operator: What becomes of a removed word.
        width: How many sets a search follows; None: all, which is exact.
    """
    tensors = (single.ids, single.token_type_ids, single.answer, single.against, single.label)
    key: tuple[Any, ...] = tuple(None if tensor is None else tuple(tensor.flatten().tolist()) for tensor in tensors)
    key += (single.pairwise, candidates.tobytes(), operator, width, sum(weight._version for weight in model.parameters()))
    known = _ENDS_BY_MODEL.setdefault(model, {})
    if key not in known:
        at = np.flatnonzero(candidates)

        def removed(sets: Sequence[int]) -> list[float]:
            left = np.ones((len(sets), len(candidates)), bool)
            left[:, at] = np.array(sets, object)[:, None] >> np.arange(len(at)) & 1 == 0
            return probabilities(model, single, [0] * len(sets), left, operator).tolist()

        known[key] = search(removed, len(at), width)
    ends: Ends = known[key]
    return ends


def search(removed: Callable[[Sequence[int]], Sequence[float]], size: int, width: int | None) -> Ends:
    """The smallest and the largest mean of a function of sets, along all ways to fill a set one element at a time.

    Ways to the same set are the same from there on, so that only the best one is followed; without a width, this is dynamic
    programming over all 2^size sets.

    Args:
        removed: The function's values of several sets, each a number whose bits are its elements.
        size: Number of elements.
        width: How many sets are followed at each size, the best so far; None: all.

    >>> search(lambda sets: [{1: 0.0, 2: 1.0, 3: 0.5}[s] for s in sets], 2, None)
    Ends(least=0.25, most=0.75)
    """
    values: dict[int, float] = {}

    def best(sign: int) -> float:
        totals = {0: 0.0}
        for _ in range(size):
            grown: dict[int, float] = {}
            for chosen, total in totals.items():
                for larger in (chosen | 1 << element for element in range(size) if not chosen >> element & 1):
                    grown[larger] = min(total, grown.get(larger, np.inf))
            unknown = [chosen for chosen in grown if chosen not in values]
            values.update(zip(unknown, removed(unknown) if unknown else (), strict=True))
            reached = sorted((total + sign * values[chosen], chosen) for chosen, total in grown.items())
            totals = {chosen: total for total, chosen in reached[:width]}
        return sign * min(totals.values()) / size

    return Ends(best(1), best(-1))
