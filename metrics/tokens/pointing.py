"""Whether an explanation points at the words that are known to decide the answer.

Variants: `hit` (the ranked one), `reciprocal_rank`, `relevance_mass`; `hit/chance` and `hit/oracle` are what a random order and
the truth get.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import comb
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from ...core.errors import NotApplicable
from ...methods.views import token_scores
from ...models.flow.flow_model import FlowModel
from ...tasks.instance import Instance
from ...tasks.lexicon import SUBJECT
from ..base import BatchMetric, ExplainedBatch
from ..registry import metric

NO_TRUTH = (
    "nobody knows which words of the task decide: use an agreement task (sva/*, ra/*, marvin-linzen), planted/* or toy/counting."
)
NOTHING_ELSE = "every word is one of those that decide."
NO_MASS = "the scores of all words are 0."


@metric(
    "pointing", reads="tokens", ranked="hit", higher_is_better=True, unit="share of instances", bounds=(0.0, 1.0),
    source="Zhang et al. 2018, section 4.2 (pointing game); Voorhees 1999 (reciprocal rank); Arras et al. 2025 (relevance mass)",
    misleads="The truth is the task's: a model that is right for another reason makes a faithful explanation miss. `hit` reads "
    "the first word alone.",
)  # fmt: skip
@dataclass(frozen=True)
class Pointing(BatchMetric):
    """Whether the word with the largest score, whatever its sign, is one that is known to decide the answer.

    Such words are the subject of an agreement task, the first word of a planted path, and the digits that a counting model must
    read. `hit` is 1 or 0, `reciprocal_rank` 1 over the rank of the first such word; words with equal scores share the expectation
    over their orders. `relevance_mass` is the sum of the sizes of the scores of such words, as a share of that of all words that
    compete. Special tokens and the gap do not compete; the last word that a decoder reads does. The truth is that of the task: a
    model that is right for another reason makes a faithful explanation miss. For the gold answer. In [0, 1]; higher is better.
    Sources: Zhang et al. 2018, section 4.2; Voorhees 1999; Arras et al. 2025.
    """

    def batch_rows(self, model: FlowModel, explained: ExplainedBatch) -> Iterator[dict[str, Any]]:
        """One score row for each instance, variant and draw."""
        words = explained.batch.word_ids.cpu().numpy()
        for case in explained.draws():
            free = words[case.row, : case.size, 0] >= 0
            if model.head == "masked":
                free[case.target] = False  # the gap; the target of a decoder is a word like others
            deciding = deciding_tokens(case.instance, words[case.row, : case.size]) & free
            if not deciding.any() or deciding[free].all():
                yield from case.score_rows(dict.fromkeys(("hit", "reciprocal_rank", "relevance_mass"), (np.nan, NOTHING_ELSE)))
                continue
            sizes = np.abs(token_scores(case.explanation))[free]
            hit, reciprocal = pointing(sizes, deciding[free])
            chance, _ = pointing(np.zeros(free.sum()), deciding[free])
            values = {"hit": hit, "reciprocal_rank": reciprocal, "hit/chance": chance, "hit/oracle": 1.0}
            mass, total = (float(part.sum(dtype=float)) for part in (sizes[deciding[free]], sizes))
            relevance = (mass / total, "") if total else (np.nan, NO_MASS)
            yield from case.score_rows({name: (value, "") for name, value in values.items()} | {"relevance_mass": relevance})


def deciding_tokens(instance: Instance, words: np.ndarray) -> Bool[np.ndarray, " tokens"]:
    """Which tokens belong to the words that decide an instance's answer.

    Args:
        instance: Says so by its slots (agreement), by the path that was planted, or by positions of words (`deciding`,
            `positions`).
        words: (segment, word) of each token.

    Raises:
        NotApplicable: It does not.
    """
    positions, path = instance.truth.get("deciding", instance.truth.get("positions")), instance.truth.get("path")
    if isinstance(positions, (tuple, list)):
        known = {(int(segment), int(word)) for segment, word in positions}
        return np.array([(int(segment), int(word)) in known for segment, word in words])
    if isinstance(path, (tuple, list)):
        return np.arange(len(words)) == int(path[0])
    if SUBJECT in instance.slots:
        ends = np.cumsum([0, *(len(text.split()) for text in instance.segments)])
        place = instance.slots.index(SUBJECT)
        segment = int(np.searchsorted(ends, place, side="right")) - 1
        return (words == (segment, place - ends[segment])).all(1)
    raise NotApplicable(NO_TRUTH)


def pointing(scores: Float[np.ndarray, " words"], deciding: Bool[np.ndarray, " words"]) -> tuple[float, float]:
    """Expected hit and expected reciprocal rank of the first deciding word, over the orders of words with equal scores.

    Args:
        scores: The larger, the earlier.
        deciding: Which words are right; at least one.

    >>> pointing(np.array([3.0, 1.0, 2.0]), np.array([False, False, True]))
    (0.0, 0.5)
    >>> pointing(np.zeros(2), np.array([False, True]))
    (0.5, 0.75)
    """
    best = scores[deciding].max()
    ahead, level = int((scores > best).sum()), int((scores == best).sum())
    right = int((deciding & (scores == best)).sum())
    # The first of the right words stands j-th among the equal ones if the other right ones are behind it.
    first = [comb(level - place, right - 1) / comb(level, right) for place in range(1, level - right + 2)]
    reciprocal = sum(chance / (ahead + place) for place, chance in enumerate(first, start=1))
    return (0.0 if ahead else right / level), reciprocal
