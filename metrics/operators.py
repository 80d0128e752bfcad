"""Ablation operators: what stands in for the states that an explanation does not keep.

    zero        zeros (Lu et al. 2021, section 4.4)
    mean        the mean state of that depth over every token of every instance that is scored
    resample    the state at that place and depth in another instance (Chan et al. 2022), the same one for every method: one with
                as many tokens, else a longer one
    mask        the state at that place and depth in a sentence of mask tokens
    cut         zeros that nothing attends to: the softmax is over what is kept

For a skip stands what stands for the hidden state it carries, for a head's context vector the same head's; cut heads are zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..core.errors import NotApplicable, UsageError
from ..models.baseline import blanked
from ..models.batch import Batch, Rows, Site, cell_seed
from ..models.flow.flow_model import FlowModel
from .base import ExplainedBatch

Operator = Literal["zero", "mean", "resample", "mask", "cut"]
POOLING = ("mean", "resample")
"""Operators under which the score of an instance rests on the other instances."""
NO_DONOR = "no other instance is as long, so that its states cannot be resampled."


class States(NamedTuple):
    """The states of some rows.

    Attributes:
        hidden: hidden[l], l = 0..L, each (rows or 1, tokens or 1, D).
        context: Context vectors of layers 1..L, each (rows or 1, tokens or 1, heads, size).
    """

    hidden: list[Tensor]
    context: list[Tensor]

    def rows(self, index: Int[Tensor, " rows"]) -> States:
        """Some of the rows, where they differ."""
        return States(*([part[index] if len(part) > 1 else part for part in parts] for parts in self))


@dataclass(frozen=True, eq=False)
class StandIn:
    """What stands in for the ablated states of one batch.

    Attributes:
        states: None: zeros.
        cut: Whether nothing attends to what is ablated.
        without: Rows that have no stand-in, and why.
    """

    states: States | None = None
    cut: bool = False
    without: Mapping[int, str] = field(default_factory=dict)


ZERO = StandIn()


def check_operator(operator: str) -> None:
    """Refuses what is no operator.

    Raises:
        UsageError: With what there is.
    """
    if operator not in get_args(Operator):
        raise UsageError(f"operator must be one of {', '.join(get_args(Operator))}, got {operator!r}.")


def stand_ins(model: FlowModel, shown: Sequence[ExplainedBatch], operator: Operator, seed: int = 0) -> Callable[[Batch], StandIn]:
    """What stands in for ablated states, batch by batch.

    Args:
        model: That is ablated.
        shown: Every instance that is scored.
        operator: See the module.
        seed: Of the choice of other instances.

    Raises:
        NotApplicable: The model has no attention to cut, or no mask token.
    """
    if operator == "cut" and not isinstance(model, FlowModel):
        raise NotApplicable(f"operator=cut is about attention, and {model.name} has none.")
    if operator == "mean":
        whole = StandIn(_means(model, shown))
        return lambda batch: whole
    if operator == "mask":
        return lambda batch: StandIn(_states(model, blanked(model, batch)))
    if operator == "resample":
        return _Donors.of(model, shown, seed).stand_in
    return lambda batch: StandIn(cut=operator == "cut")


@torch.no_grad()
def _states(model: FlowModel, batch: Batch) -> States:
    sites: set[Site] = {"hidden", "context"} if isinstance(model, FlowModel) else {"hidden"}
    (trace,) = model.run(Rows(batch, model.embed(model.words(batch), batch)), keep=sites)
    hidden = [trace.site("hidden", layer) for layer in range(model.n_layers + 1)]
    return States(hidden, [trace.site("context", layer) for layer in range(model.n_layers)] if "context" in sites else [])


def _means(model: FlowModel, shown: Sequence[ExplainedBatch]) -> States:
    """Over all real tokens; summed in float64, so that batches do not matter."""
    totals: list[list[Tensor]] = []
    count = 0
    for one in shown:
        found = _states(model, one.batch)
        sums = [[part[one.batch.attention_mask].double().sum(0) for part in parts] for parts in found]
        totals = [[a + b for a, b in zip(*pair, strict=True)] for pair in zip(totals, sums, strict=True)] if totals else sums
        count += int(one.batch.attention_mask.sum())
        like = found.hidden[0]
    return States(*([(total / count).to(like.dtype)[None, None] for total in parts] for parts in totals))


class _Place(NamedTuple):
    """Where an instance is: number of its batch, row, tokens."""

    batch: int
    row: int
    length: int


@dataclass(frozen=True, eq=False)
class _Donors:
    """Instances to take states from.

    Attributes:
        model: That is ablated.
        batches: All of them.
        places: By instance.
        seed: Of the choice.
    """

    model: FlowModel
    batches: list[Batch]
    places: dict[str, _Place]
    seed: int

    @classmethod
    def of(cls, model: FlowModel, shown: Sequence[ExplainedBatch], seed: int) -> _Donors:
        batches = [one.batch for one in shown]
        places = {
            name: _Place(number, row, length)
            for number, batch in enumerate(batches)
            for row, (name, length) in enumerate(zip(batch.names, batch.lengths, strict=True))
        }
        return cls(model, batches, places, seed)

    def donor(self, name: str) -> _Place | None:
        """Drawn among the others with as many tokens, else among longer ones; independent of batches and their order."""
        length = self.places[name].length
        others = sorted(other for other, at in self.places.items() if at.length >= length and other != name)
        alike = [other for other in others if self.places[other].length == length] or others
        return self.places[alike[cell_seed(self.seed, name) % len(alike)]] if alike else None

    def stand_in(self, batch: Batch) -> StandIn:
        """The donors' clean states, place by place."""
        found = [self.donor(name) for name in batch.names]
        made: States | None = None
        for number in sorted({at.batch for at in found if at is not None}):
            rows = [row for row, at in enumerate(found) if at is not None and at.batch == number]
            index = torch.tensor([at.row for row in rows if (at := found[row]) is not None], device=batch.ids.device)
            part = _states(self.model, self.batches[number].rows(index))
            made = made or States(*([_empty(one, batch) for one in parts] for parts in part))
            for into, taken in zip([*made.hidden, *made.context], [*part.hidden, *part.context], strict=True):
                width = min(into.shape[1], taken.shape[1])
                into[rows, :width] = taken[:, :width]
        return StandIn(made, without={row: NO_DONOR for row, at in enumerate(found) if at is None})


def _empty(like: Tensor, batch: Batch) -> Tensor:
    return like.new_zeros(batch.ids.shape[0], batch.ids.shape[1], *like.shape[2:])


def attend_to_kept(kept: Float[Tensor, "rows depths tokens"]) -> Callable[[int, Tensor], Tensor]:
    """An edit of attention: weights on what is not kept are zeros, and the others sum to 1 again (or are all zeros)."""

    def edit(layer: int, weights: Tensor) -> Tensor:
        left = weights * kept[:, layer, None, None]
        total = left.sum(-1, keepdim=True)
        return left / torch.where(total > 0, total, 1)

    return edit


def undefined(value: float, reason: str) -> float:
    """The value, NaN where there is a reason."""
    return np.nan if reason else value
