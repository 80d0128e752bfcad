"""Leave-one-out: q without one word at a time, for the words of many sentences in one pass."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from ...core.settings import Settings
from ...models.baseline import Baseline, baseline_words
from ...models.batch import Batch
from ...models.layered import Layered
from ...models.memory import rows_at_once
from ...models.outputs import value
from ...models.shapes import PerRow
from ..base import explanations, method
from ..explanation import Explanation
from .captum_words import ROWS

Removal = Literal[Baseline, "delete"]


@method(
    "leave-one-out",
    gives={"tokens"},
    source="Li et al. 2016, Understanding Neural Networks through Representation Erasure, section 3; Jain & Wallace 2019",
    misleads="Words that stand in for each other all score near 0, since the others are still there. A text with a gap is "
    "unlike those that the model was trained on, and a part of the decrease may come from that (Hooker et al. 2019).",
)
@dataclass(frozen=True)
class LeaveOneOut(Settings):
    """Decrease of q when one word is removed (Li et al. 2016).

    tokens[j] = q(x) - q(x without j), for every real token that the model allows to be masked, and 0 for the others. A removed
    word's vector is replaced by the baseline's, or with `delete` the word is cut out and later words move up; positions that q
    reads (the target; the ends of a span and of its alternative) cannot be deleted and score 0. Source: Li et al. 2016
    ("erasure"), section 3; Jain & Wallace 2019, section 4.1. Units of q; signed; unbounded.

    Attributes:
        baseline: Word vector of the removed word: mask, zero, pad, mean; or delete. On decoders the default is `pad`.
    """

    baseline: Removal = "mask"

    @torch.no_grad()
    def explain(self, model: Layered, batch: Batch) -> list[Explanation]:
        """Runs every instance without each of its words."""
        removable = model.maskable(batch)
        if self.baseline == "delete":
            removable = removable.scatter(1, batch.required_positions, False)
        row, position = removable.nonzero(as_tuple=True)
        removed = torch.arange(batch.ids.shape[1], device=row.device) == position[:, None]
        tokens = torch.zeros(batch.ids.shape, dtype=model.dtype, device=batch.ids.device)
        tokens[row, position] = decreases(model, batch, row, removed, self.baseline)
        return explanations(batch, tokens=tokens)


def decreases(
    model: Layered, batch: Batch, row: Int[Tensor, " rows"], removed: Bool[Tensor, "rows tokens"], baseline: Removal
) -> PerRow:
    """The decrease of q when some words are removed, q(x) - q(x without them), as many rows at once as the budget allows.

    Args:
        model: The model.
        batch: The instances.
        row: The instance of each row.
        removed: The positions of each row's removed words; those that the model does not allow to be masked stay, unless they
            are deleted.
        baseline: What takes the place of a removed word, or `delete`.
    """
    q, clean = [], value(model.outputs(batch), batch)
    for part in torch.arange(len(row), device=row.device).split(rows_at_once(model, batch.ids.shape[1], ROWS)):
        rows = _without(model, batch.rows(row[part]), removed[part], baseline)
        q.append(value(model.outputs(rows), rows))
    return clean[row] - torch.cat([clean[:0], *q])


def _without(model: Layered, rows: Batch, removed: Bool[Tensor, "rows tokens"], baseline: Removal) -> Batch:
    """The rows without their removed words."""
    if baseline == "delete":
        return rows.only(~removed)
    words = torch.where(removed[..., None], baseline_words(model, rows, baseline), model.words(rows))
    return replace(rows, word_vectors=words)
