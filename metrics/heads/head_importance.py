"""Importance of attention heads over a set of instances, and which instances may set it."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from ...core.errors import NotApplicable
from ...methods.explanation import Explanation
from ...methods.views import head_scores


@dataclass(frozen=True, eq=False)
class HeadScores:
    """Head scores of instances.

    Attributes:
        names: Ids of the instances.
        conditions: The condition of each instance.
        scores: The score of every head, for each instance and draw.
    """

    names: tuple[str, ...]
    conditions: tuple[str, ...]
    scores: Float[np.ndarray, "instances draws layers heads"]

    def importance(self, chosen: Sequence[int]) -> Float[np.ndarray, "draws layers heads"]:
        """The mean score over some instances, summed in the order of their ids, so that it depends on no other order."""
        means: np.ndarray = self.scores[sorted(chosen, key=self.names.__getitem__)].mean(0)
        return means


def draws_of_heads(explanations: Iterable[Explanation]) -> Float[np.ndarray, "instances draws layers heads"]:
    """Head scores of every draw of explanations.

    Raises:
        NotApplicable: An explanation scores no heads, or explanations have different numbers of draws.
    """
    scores = [[head_scores(draw) for draw in explanation.each()] for explanation in explanations]
    if len({len(draws) for draws in scores}) > 1:
        raise NotApplicable("instances have different numbers of draws, so that there is no importance for each draw.")
    return np.array(scores, float)


def halves(names: Sequence[str], conditions: Sequence[str], seed: int) -> Int[np.ndarray, " instances"]:
    """The half of each instance, 0 or 1: of equal size (give or take one), in each condition too.

    Drawn from sha256 of seed and id, so that halves depend on neither order nor batches.

    Args:
        names: Ids of the instances.
        conditions: The condition of each instance.
        seed: Of the draw.

    Raises:
        NotApplicable: There is only one instance.
    """
    if len(names) < 2:
        raise NotApplicable(
            "each half of the instances is scored by what the other half says, and there is only one instance: explain more."
        )
    drawn = [hashlib.sha256(f"{seed}/{name}".encode()).hexdigest() for name in names]
    order = sorted(range(len(names)), key=lambda n: (conditions[n], drawn[n]))
    half = np.zeros(len(names), int)
    half[order[1::2]] = 1
    return half


def first_by_id(names: Sequence[str], count: int) -> list[int]:
    """The indices of the first `count` instances when ids are sorted, numbers in them by value: the order of a file's rows.

    >>> first_by_id(["a/10", "a/9", "a/2"], 2)
    [2, 1]
    """

    def key(index: int) -> list[tuple[int, str]]:
        return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", names[index])]

    return sorted(range(len(names)), key=key)[:count]
