"""Whether the words that an explanation ranks first do better than other words of the same number.

Variants:

    win_rate         share of other choices of words whose removal lowers the probability less (the ranked one)
    win_rate/alone   share of other choices of words with which alone the probability is lower
    p_value          of the removal: how probable so large a fall is among random choices
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from math import comb
from typing import Annotated

import numpy as np
from jaxtyping import Bool, Float
from pydantic import Field, PositiveInt

from ...models.flow.flow_model import FlowModel
from ..registry import metric
from ..tokens.word_removal import Left, RankedWords, WordRemoval

DECIMALS = 6
"""Probabilities that differ by less are equal: rounding wins nothing."""
ONE_CHOICE = "the top words are all words that can be removed, so that there is no other choice."


@metric(
    "random_rationale_test", reads="tokens", ranked="win_rate", higher_is_better=True, unit="share of random choices",
    bounds=(0.0, 1.0), source="flowgauge; after the randomisation tests of ICE-faithfulness 2026",
    misleads="It tells an explanation from chance and not from a better one: wherever few words matter, methods that find one of "
    "them win nearly always. The verdict depends on what takes the place of the removed words.",
)  # fmt: skip
@dataclass(frozen=True)
class RandomRationaleTest(WordRemoval):
    """How often an explanation's top words beat as many random words.

    The share of other choices of k of the n words, k = ceil(share n / 100), whose removal lowers the predicted output's
    probability less than that of the k words ranked first; equal falls count half. If there are at most `samples` other choices,
    all are taken, else as many random ones, the same for all methods. `p_value` is (1 + choices with a fall at least as
    large) / (1 + choices). The words and their order are those of `comprehensiveness`. In [0, 1]; random words have 0.5 on
    average; higher is better.

    Attributes:
        share: Percent of the words.
        samples: Most choices that the top words are compared with.
    """

    share: Annotated[int, Field(ge=1, le=99)] = 20
    samples: PositiveInt = 100
    variants = ("win_rate", "win_rate/alone", "p_value")

    def refusal(self, words: RankedWords) -> str:
        """Why an instance has no value: no words, or a single one."""
        size = int(words.candidates.sum())
        return ONE_CHOICE if 0 < size <= self._count(size) else super().refusal(words)

    def inputs(self, words: RankedWords) -> Left:
        """The text without the chosen words, then these alone; the explanation's own choice is the first."""
        chosen = self.choices(words)
        return np.concatenate([~chosen, ~words.candidates | chosen])

    def values(
        self, model: FlowModel, words: RankedWords, whole: float, parts: Float[np.ndarray, " inputs"]
    ) -> Mapping[str, tuple[float, str]]:
        """How many choices the first one beats."""
        removed, alone = np.split(parts.round(DECIMALS), 2)
        win_rate, win_rate_alone = (
            (1 + np.sign(removed[1:] - removed[0]).mean()) / 2,
            (1 + np.sign(alone[0] - alone[1:]).mean()) / 2,
        )
        p_value = (removed <= removed[0]).mean()
        return {"win_rate": (win_rate, ""), "win_rate/alone": (win_rate_alone, ""), "p_value": (p_value, "")}

    def choices(self, words: RankedWords) -> Bool[np.ndarray, "choices padded"]:
        """The words that are chosen: first the top ones, then others, as many each time."""
        places, count = np.flatnonzero(words.candidates), self._count(len(words.order))
        top = np.sort(words.order[:count])
        if comb(len(places), count) - 1 <= self.samples:
            others = [places[list(each)] for each in combinations(range(len(places)), count)]
            others = [each for each in others if not np.array_equal(each, top)]
        else:
            generator = np.random.default_rng([words.case.explained.predicted_batch.seeds[words.case.row], self.share])
            others = [generator.choice(places, count, replace=False) for _ in range(self.samples)]
        chosen = np.zeros((1 + len(others), len(words.candidates)), bool)
        np.put_along_axis(chosen, np.array([top, *others]), True, 1)
        return chosen

    def _count(self, size: int) -> int:
        """How many of so many words are chosen."""
        return -(-self.share * size // 100)
