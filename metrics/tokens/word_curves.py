"""The prediction's probability while words come or go one by one, in the order in which an explanation ranks them.

Variant: `area`, under the probability against the share of the words that have come or gone (0 to 1).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float, Int
from pydantic import PositiveInt

from ...models.flow.flow_model import FlowModel
from ..registry import metric
from .word_removal import Left, RankedWords, WordRemoval


@dataclass(frozen=True)
class _WordCurve(WordRemoval):
    """The setting and the computation that both curves share.

    Attributes:
        steps: Most steps of a curve: of longer texts, several words come or go at once.
        insert: Whether words come, or go.
    """

    steps: PositiveInt = 50
    insert: ClassVar[bool]
    variants = ("area",)

    def inputs(self, words: RankedWords) -> Left:
        """What is left of the text after each step, from before the first."""
        return words.left(self._counts(words), self.insert)

    def values(
        self, model: FlowModel, words: RankedWords, whole: float, parts: Float[np.ndarray, " inputs"]
    ) -> Mapping[str, tuple[float, str]]:
        """The area under the probability against the share of the words that have come or gone, by trapezoids.

        Args:
            model: The explained model, which is not asked again.
            words: The draw.
            whole: Probability of the predicted answer on the text; the curve has it at one of its ends already.
            parts: The same after each step, from before the first to after the last.

        Returns:
            `area`, in [0, 1]; it is never undefined.
        """
        return {"area": (float(np.trapezoid(parts, self._counts(words) / len(words.order))), "")}

    def _counts(self, words: RankedWords) -> Int[np.ndarray, " inputs"]:
        """How many words have come or gone after each step."""
        size = len(words.order)
        return np.linspace(0, size, min(size, self.steps) + 1).round().astype(int)


@metric(
    "word_insertion", reads="tokens", ranked="area", higher_is_better=True, unit="probability", bounds=(0.0, 1.0),
    source="Petsiuk et al. 2018, section 4.1",
    misleads="The first words stand alone in texts unlike any that the model was trained on. A model that is sure of the answer "
    "without any word gives every order a large area: compare with `random`.",
)  # fmt: skip
@dataclass(frozen=True)
class WordInsertion(_WordCurve):
    """How early the prediction's probability rises when words come one by one, the most important first.

    Area under p(the first m of n words) against m / n, for m = 0, 1, ..., n, by trapezoids; the tokens that cannot be removed are
    always there. The words and their order are those of `comprehensiveness`. In [0, 1]; higher is better. Source: Petsiuk et al.
    2018, section 4.1, of pixels.
    """

    insert: ClassVar[bool] = True


@metric(
    "word_deletion", reads="tokens", ranked="area", higher_is_better=False, unit="probability", bounds=(0.0, 1.0),
    source="Petsiuk et al. 2018, section 4.1",
    misleads="The probability may fall because words are missing rather than because of what they said (Hooker et al. 2019). "
    "Where two words say the same, the area falls only once both are gone.",
)  # fmt: skip
@dataclass(frozen=True)
class WordDeletion(_WordCurve):
    """How early the prediction's probability falls when words go one by one, the most important first.

    Area under p(all but the first m of n words) against m / n, as `word_insertion` computes it. In [0, 1]; lower is better.
    Source: Petsiuk et al. 2018, section 4.1, of pixels.
    """

    insert: ClassVar[bool] = False
