"""Ablation: what replaces the states that an explanation does not keep.

    zero        zeros (Lu et al. 2021, section 4.4)
    mean        the mean state of that depth over every token of every scored instance
    resample    the state at that position and depth in another instance (Chan et al. 2022), the same one for every method: one
                with as many tokens, else a longer one
    mask        the state at that position and depth in a sentence of mask tokens; on decoders, which have none, of padding
    cut         zeros that no position attends to: the softmax is over what is kept
    own         what the method itself puts in the place of a masked state

A skip is replaced by what replaces the hidden state that it carries, and a head's context vector by the same head's; the context
vectors of cut heads are zeros.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ...core.errors import NotApplicable
from ..baseline import blanked
from ..batch import Batch, Rows, Site, cell_seed
from ..flow.flow_model import FlowModel

Replacement = Literal["zero", "mean", "resample", "mask", "cut", "own"]
"""Everything that may replace a removed state; each metric takes some of these as its setting `operator`."""
StateReplacement = Literal["zero", "mean", "resample", "mask", "cut"]
"""What may replace the nodes and heads that an explanation does not keep."""
MaskReplacement = Literal["own", "zero", "mask"]
"""What may replace the states that an explanation's mask drops."""
POOLING = ("mean", "resample")
"""Replacements under which the score of an instance depends on the other instances."""
NO_DONOR = "no other instance has as many tokens, so there are no states to resample."


class States(NamedTuple):
    """The states of some rows.

    Attributes:
        hidden: hidden[l], l = 0..L, each (rows or 1, tokens or 1, D).
        context: Context vectors of layers 1..L, each (rows or 1, tokens or 1, heads, size).
    """

    hidden: list[Tensor]
    context: list[Tensor]

    def rows(self, index: Int[Tensor, " rows"]) -> States:
        """The states of some of the rows; states that all rows share stay as they are."""
        return States(*([part[index] if len(part) > 1 else part for part in parts] for parts in self))


@dataclass(frozen=True, eq=False)
class ReplacedStates:
    """What replaces the ablated states of one batch.

    Attributes:
        states: The replacing states; None: zeros.
        cut: Whether no position attends to ablated ones.
        undefined: Rows that have no replacement, with the reason.
    """

    states: States | None = None
    cut: bool = False
    undefined: Mapping[int, str] = field(default_factory=dict)


ZERO = ReplacedStates()


def replaced_states(
    model: FlowModel, batches: Iterable[Batch], operator: StateReplacement, seed: int = 0
) -> Callable[[Batch], ReplacedStates]:
    """What replaces ablated states, as a function of the batch.

    Args:
        model: The model whose states are ablated.
        batches: Every scored instance; gone through once, and by `mean` and `resample` only.
        operator: See the module.
        seed: Of the choice of the instances that are resampled from.

    Raises:
        NotApplicable: The model has no attention to cut, or no mask token.
    """
    if operator == "cut" and not isinstance(model, FlowModel):
        raise NotApplicable(f"operator=cut removes attention weights, and the model {model.name!r} has no attention.")
    if operator == "mean":
        means = ReplacedStates(_means(model, batches))
        return lambda batch: means
    if operator == "mask":
        return lambda batch: ReplacedStates(_states(model, blanked(model, batch)))
    if operator == "resample":
        return _Donors(model, list(batches), seed).replaced_states
    return lambda batch: ReplacedStates(cut=operator == "cut")


@torch.no_grad()
def _states(model: FlowModel, batch: Batch) -> States:
    sites: set[Site] = {"hidden", "context"} if isinstance(model, FlowModel) else {"hidden"}
    (trace,) = model.run(Rows(batch, model.embed(model.words(batch), batch)), keep=sites)
    hidden = [trace.site("hidden", layer) for layer in range(model.n_layers + 1)]
    return States(hidden, [trace.site("context", layer) for layer in range(model.n_layers)] if "context" in sites else [])


def _means(model: FlowModel, batches: Iterable[Batch]) -> States:
    """Means over all real tokens; summed in float64, so that they do not depend on batches."""
    totals: list[list[Tensor]] = []
    count = 0
    for batch in batches:
        states = _states(model, batch)
        sums = [[part[batch.attention_mask].double().sum(0) for part in parts] for parts in states]
        totals = [[a + b for a, b in zip(*pair, strict=True)] for pair in zip(totals, sums, strict=True)] if totals else sums
        count += int(batch.attention_mask.sum())
        like = states.hidden[0]
    return States(*([(total / count).to(like.dtype)[None, None] for total in parts] for parts in totals))


class _Donor(NamedTuple):
    """An instance to take states from: the index of its batch, its row there, and its number of tokens."""

    batch: int
    row: int
    length: int


class _Donors:
    """Every instance to take states from, by id.

    Args:
        model: The model whose states are ablated.
        batches: The batches that hold the instances.
        seed: Of the choice.
    """

    def __init__(self, model: FlowModel, batches: list[Batch], seed: int) -> None:
        self.model, self.batches, self.seed = model, batches, seed
        self.donors = {
            name: _Donor(index, row, length)
            for index, batch in enumerate(batches)
            for row, (name, length) in enumerate(zip(batch.names, batch.lengths, strict=True))
        }

    def donor(self, name: str) -> _Donor | None:
        """Drawn among the others with as many tokens, else among longer ones; independent of batches and their order."""
        length = self.donors[name].length
        candidates = sorted(key for key, donor in self.donors.items() if donor.length >= length and key != name)
        candidates = [key for key in candidates if self.donors[key].length == length] or candidates
        return self.donors[candidates[cell_seed(self.seed, name) % len(candidates)]] if candidates else None

    def replaced_states(self, batch: Batch) -> ReplacedStates:
        """The clean states of the donors, position by position; one run of the model a batch that holds donors."""
        donors = {row: donor for row, name in enumerate(batch.names) if (donor := self.donor(name)) is not None}
        states: States | None = None
        for index in sorted({donor.batch for donor in donors.values()}):
            rows = [row for row, donor in donors.items() if donor.batch == index]
            donor_rows = torch.tensor([donors[row].row for row in rows], device=batch.ids.device)
            donated = _states(self.model, self.batches[index].rows(donor_rows))
            states = states or States(
                *([part.new_zeros(*batch.ids.shape, *part.shape[2:]) for part in parts] for parts in donated)
            )
            for into, part in zip([*states.hidden, *states.context], [*donated.hidden, *donated.context], strict=True):
                width = min(into.shape[1], part.shape[1])
                into[rows, :width] = part[:, :width]
        return ReplacedStates(states, undefined={row: NO_DONOR for row in range(len(batch)) if row not in donors})


def attend_to_kept(kept: Float[Tensor, "rows depths tokens"]) -> Callable[[int, Tensor], Tensor]:
    """An edit of attention: weights on what is not kept are zeros, and the rest sum to 1 again (or are all zeros)."""

    def edit(layer: int, weights: Tensor) -> Tensor:
        left = weights * kept[:, layer, None, None]
        total = left.sum(-1, keepdim=True)
        return left / torch.where(total > 0, total, 1)

    return edit
