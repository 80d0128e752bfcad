"""The control method: scores drawn from a uniform distribution, independently or as rankings and their reversals."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from jaxtyping import Float, Int
from pydantic import Field, PositiveInt

from ..core.settings import Settings
from ..models.batch import Batch
from ..models.layered import Layered
from .base import method
from .explanation import Explanation
from .views import head_scores

PAIRS = "pairs:"


@method(
    "random",
    gives={"tokens", "nodes", "units"},
    stochastic=True,
    source="Lu et al. 2021, Influence Patterns for Explaining Information Flow in BERT, section 4.4",
    misleads="It is the floor and no explanation. On few instances, a method that cannot be separated from it has not been "
    "shown to be wrong.",
)
@dataclass(frozen=True)
class Random(Settings):
    """Uniform random scores, a control that every other method must exceed (Lu et al. 2021).

    Tokens, nodes and attention-level units score independently in [0, 1). Source: the random baseline of Lu et al. 2021,
    section 4.4.

    In `pairs`, every second draw ranks in the opposite order of the one before: tokens, the nodes of each layer, and heads by
    their largest unit. Each draw by itself is distributed as an independent one, so that no mean moves; but what a ranking finds
    early its reversal finds late, so that the mean of a pair varies less than that of two independent draws. Source: antithetic
    variates, Hammersley and Morton 1956; how much less: docs/adr/0034-draws-in-reversed-pairs.md.

    Attributes:
        draws: Number of independent draws for each instance; metrics average over them and show their spread. `pairs:2`: two
            independent draws, each with its reversal, which makes four.
    """

    draws: PositiveInt | Annotated[str, Field(pattern=r"^pairs:[1-9]\d*$")] = "pairs:2"

    def explain(self, model: Layered, batch: Batch) -> list[Explanation]:
        """Draws the scores of every instance from its own seed."""
        explained = []
        for seed, n in zip(batch.seeds, batch.lengths, strict=True):
            rng = np.random.default_rng(seed)
            if isinstance(self.draws, int):
                draws = list(_independent(rng, self.draws, model, n))
            else:
                count = int(self.draws.removeprefix(PAIRS))
                pairs = zip(_independent(rng, count, model, n), _independent(rng, count, model, n), strict=True)
                draws = [draw for first, other in pairs for draw in (first, reversal(first, other))]
            explained.append(Explanation(draws=tuple(draws)))
        return explained


def _independent(rng: np.random.Generator, count: int, model: Layered, size: int) -> Iterator[Explanation]:
    """Independent draws for an instance of so many tokens."""
    nodes = rng.random((count, model.n_layers + 1, size), dtype=np.float32)
    units = rng.random((count, model.n_layers, size, model.n_heads + 1), dtype=np.float32)
    tokens = rng.random((count, size), dtype=np.float32)
    for t, h, u in zip(tokens, nodes, units, strict=True):
        yield Explanation(tokens=t, nodes=h, units=u)


def reversal(first: Explanation, other: Explanation) -> Explanation:
    """The scores of one draw, so rearranged that they rank in the opposite order of another draw.

    Which of its own scores comes where depends on the order of the first draw alone, which is independent of them: so the
    rearranged scores are independent and uniform as before.

    Args:
        first: The draw whose order is reversed.
        other: An independent draw, whose scores are rearranged: tokens among all, nodes among those of their layer, and the units
            of a head together, among all heads. The units of skips stay where they are.
    """
    assert first.tokens is not None and first.nodes is not None and first.units is not None
    assert other.tokens is not None and other.nodes is not None and other.units is not None
    heads = np.moveaxis(other.units[..., :-1], -1, 1)  # layer, head, position
    chosen = _opposite(head_scores(first).ravel(), head_scores(other).ravel())
    rearranged = heads.reshape(-1, heads.shape[-1])[chosen].reshape(heads.shape)
    return Explanation(
        tokens=other.tokens[_opposite(first.tokens, other.tokens)],
        nodes=np.take_along_axis(other.nodes, _opposite(first.nodes, other.nodes), -1),
        units=np.concatenate([np.moveaxis(rearranged, 1, -1), other.units[..., -1:]], -1),
    )


def _opposite(first: Float[np.ndarray, "*some size"], other: Float[np.ndarray, "*some size"]) -> Int[np.ndarray, "*some size"]:
    """The index of `other` that takes each place, so that its scores rise where those of `first` fall.

    >>> _opposite(np.array([0.5, 0.9, 0.1]), np.array([0.2, 0.3, 0.7])).tolist()
    [1, 0, 2]
    """
    place = np.argsort(np.argsort(-first, axis=-1, kind="stable"), axis=-1)
    index: np.ndarray = np.take_along_axis(np.argsort(other, axis=-1, kind="stable"), place, -1)
    return index
