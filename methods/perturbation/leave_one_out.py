"""Leave-one-out: q without one word at a time, for the words of many sentences in one pass."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import torch
from torch import Tensor

from ...core.settings import Settings
from ...models.baseline import Baseline, baseline_words
from ...models.batch import Batch
from ...models.layered import Layered
from ...models.memory import rows_at_once
from ...models.outputs import value
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
        tokens = torch.zeros(batch.ids.shape, dtype=model.dtype, device=batch.ids.device)
        clean = value(model.outputs(batch), batch)
        for part in torch.arange(len(row), device=row.device).split(rows_at_once(model, batch.ids.shape[1], ROWS)):
            rows = self._without(model, batch.rows(row[part]), position[part])
            tokens[row[part], position[part]] = clean[row[part]] - value(model.outputs(rows), rows)
        return explanations(batch, tokens=tokens)

    def _without(self, model: Layered, rows: Batch, position: Tensor) -> Batch:
        """The rows, each without the word at its position."""
        removed = torch.arange(rows.ids.shape[1], device=position.device) == position[:, None]
        if self.baseline == "delete":
            return rows.only(~removed)
        words = torch.where(removed[..., None], baseline_words(model, rows, self.baseline), model.words(rows))
        return replace(rows, word_vectors=words)
