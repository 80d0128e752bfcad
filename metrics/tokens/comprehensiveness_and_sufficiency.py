"""How far the prediction's probability falls without the words that an explanation ranks first, or with these alone.

Variants: `top/<k>` for k percent of the words, and `aopc`, their mean (the ranked one).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from jaxtyping import Float

from ...models.flow.flow_model import FlowModel
from ..registry import metric
from .word_removal import Left, RankedWords, WordRemoval

SHARES = (1, 5, 10, 20, 50)
"""Percent of the words (DeYoung et al. 2020, section 5)."""


@dataclass(frozen=True)
class _TopWords(WordRemoval):
    """What becomes of the prediction at each share of the top words.

    Attributes:
        keep: Whether the top words are what is left, or what is removed.
    """

    keep: ClassVar[bool]
    variants = (*(f"top/{share}" for share in SHARES), "aopc")

    def inputs(self, words: RankedWords) -> Left:
        """The text without the top words of each share, or of its words these alone."""
        return words.left([-(-share * len(words.order) // 100) for share in SHARES], self.keep)

    def values(
        self, model: FlowModel, words: RankedWords, whole: float, parts: Float[np.ndarray, " inputs"]
    ) -> Mapping[str, tuple[float, str]]:
        """The fall at each share, and their mean."""
        falls = self.fall(whole, parts)
        return {name: (float(fall), "") for name, fall in zip(self.variants, (*falls, falls.mean()), strict=True)}

    def fall(self, whole: float, parts: Float[np.ndarray, " inputs"]) -> Float[np.ndarray, " inputs"]:
        """What is lost of the probability."""
        return whole - parts


@metric(
    "comprehensiveness", reads="tokens", ranked="aopc", higher_is_better=True, unit="probability", bounds=(-1.0, 1.0),
    source="DeYoung et al. 2020, section 5",
    misleads="A text without its top words is unlike those that the model was trained on, and the decrease depends on what "
    "takes their place (Hooker et al. 2019). Its range differs from model to model, so that only methods on one model "
    "can be compared (Edin et al. 2025).",
)  # fmt: skip
@dataclass(frozen=True)
class Comprehensiveness(_TopWords):
    """How much the predicted output's probability falls when the top words are removed.

    p(x) - p(x without the top k %), for k = 1, 5, 10, 20, 50 and their mean; the source also counts k = 0 in the mean, which
    makes it 5/6 of this one for every method. The ranking is that of the predicted answer, largest score first, lower positions
    first on ties; the top k % are ceil(k n / 100) of the n words that are neither special nor the target. In [-1, 1]; higher is
    better. Source: DeYoung et al. 2020, section 5.
    """

    keep: ClassVar[bool] = False


@metric(
    "sufficiency", reads="tokens", ranked="aopc", higher_is_better=False, unit="probability", bounds=(-1.0, 1.0),
    source="DeYoung et al. 2020, section 5",
    misleads="A few words alone are unlike any text that the model was trained on. A model that gives the same output for no "
    "words at all makes every method sufficient: compare with `random`.",
)  # fmt: skip
@dataclass(frozen=True)
class Sufficiency(_TopWords):
    """How much the predicted output's probability falls when only the top words are left.

    p(x) - p(the top k % alone), as `comprehensiveness` counts and ranks them. In [-1, 1]; lower is better. Source: DeYoung et al.
    2020, section 5.
    """

    keep: ClassVar[bool] = True


@metric(
    "log_odds", reads="tokens", ranked="aopc", higher_is_better=True, unit="nats",
    source="Shrikumar et al. 2017, section 4.1; Sanyal & Ren 2021",
    misleads="As for `comprehensiveness`: a text without its top words is unlike those that the model was trained on. A few "
    "texts of which the model is left quite certain of another answer can decide the mean, since it has no bounds.",
)  # fmt: skip
@dataclass(frozen=True)
class LogOdds(_TopWords):
    """How much the logarithm of the predicted output's probability falls when the top words are removed.

    log p(x) - log p(x without the top k %), with the shares and the ranking of `comprehensiveness`. What counts is the
    share that is lost: a fall from .02 to .01 counts as much as one from .8 to .4. In nats, unbounded; higher is better:
    Sanyal & Ren 2021 report the negative of it, with padding in the place of the removed words. Sources: Shrikumar et al. 2017,
    section 4.1; Sanyal & Ren 2021.
    """

    keep: ClassVar[bool] = False

    def fall(self, whole: float, parts: Float[np.ndarray, " inputs"]) -> Float[np.ndarray, " inputs"]:
        """What is lost of the logarithm; a probability that rounds to 0 counts as the smallest number."""
        before, after = (np.log(np.maximum(p, np.finfo(float).tiny)) for p in (whole, parts))
        fall: np.ndarray = before - after
        return fall
