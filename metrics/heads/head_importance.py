"""Importance of heads over a set of instances, and which instances may set it. NumPy only."""

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
        conditions: Theirs.
        scores: One an instance and draw.
    """

    names: tuple[str, ...]
    conditions: tuple[str, ...]
    scores: Float[np.ndarray, "instances draws layers heads"]

    def importance(self, chosen: Sequence[int]) -> Float[np.ndarray, "draws layers heads"]:
        """Mean over instances, summed in the order of their ids, so that it depends on no other order."""
        found: np.ndarray = self.scores[sorted(chosen, key=self.names.__getitem__)].mean(0)
        return found


def draws_of_heads(explanations: Iterable[Explanation]) -> Float[np.ndarray, "instances draws layers heads"]:
    """Head scores of every draw.

    Raises:
        NotApplicable: They have none, or not all the same number of draws.
    """
    found = [[head_scores(one) for one in explanation.each()] for explanation in explanations]
    if len({len(draws) for draws in found}) > 1:
        raise NotApplicable("instances have different numbers of draws, so that there is no importance for each draw.")
    return np.array(found, float)


def halves(names: Sequence[str], conditions: Sequence[str], seed: int) -> Int[np.ndarray, " instances"]:
    """0 or 1 for each instance: two halves of equal size (to one), of each condition too.

    Drawn from sha256 of seed and id, so that it depends on neither order nor batches.

    Raises:
        NotApplicable: There is only one instance.
    """
    if len(names) < 2:
        raise NotApplicable(
            "each half of the instances is scored by what the other half says, and there is one instance; explain more."
        )
    drawn = [hashlib.sha256(f"{seed}/{name}".encode()).hexdigest() for name in names]
    order = sorted(range(len(names)), key=lambda n: (conditions[n], drawn[n]))
    half = np.zeros(len(names), int)
    half[order[1::2]] = 1
    return half


def first_by_id(names: Sequence[str], count: int) -> list[int]:
    """Which instances are the first `count` when their ids are sorted, numbers by value: the order of a file's rows.

    >>> first_by_id(["a/10", "a/9", "a/2"], 2)
    [2, 1]
    """

    def key(number: int) -> list[tuple[int, str]]:
        return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", names[number])]

    return sorted(range(len(names)), key=key)[:count]
