"""AtMan (Deiseroth et al. 2023): q while every query attends less to one token, in all heads of all layers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from ...core.errors import NotApplicable
from ...core.settings import Settings
from ...models.batch import Batch, Rows
from ...models.flow.flow_model import FlowModel
from ...models.memory import rows_at_once
from ...models.outputs import value
from ..base import explanations, method
from ..explanation import Explanation
from .captum_words import ROWS


@method(
    "atman",
    gives={"tokens"},
    needs={"transformer"},
    source="Deiseroth et al. 2023, AtMan: Understanding Transformer Predictions Through Memory Efficient Attention Manipulation, "
    "equation 4",
    misleads="Scores of attention are drawn towards 0, which lowers the attention to a token only where its score is above those "
    "of other tokens; a negative score rises, and with it the attention. A constant added to all scores of a query changes "
    "nothing in the model, but changes this. Words that stand in for each other all score near 0.",
)
@dataclass(frozen=True)
class AtMan(Settings):
    """Decrease of q when the attention scores of one token are scaled down everywhere (Deiseroth et al. 2023).

    tokens[j] = q(x) - q(x with (1 - f) s_ij in the place of s_ij, for every query i, head and layer), where s = scale q k^T
    are the scores before the mask and the softmax. They are linear in keys, so that the key vectors of token j are multiplied by
    1 - f, after their norms and turns. Source: Deiseroth et al. 2023, equation 4, with f = 0.9. There the influence is the change
    of the cross-entropy, which is this with log_probability as q; similar tokens are suppressed together (equation 6), which is
    not done here; and a part of the authors' code first subtracts the smallest score of each query, which the equation does not.
    Units of q; signed; unbounded; every real token that may be masked is scored, and others score 0.

    Cost: a forward pass for each token.

    Attributes:
        suppression: f, the share of its scores that a token loses.
    """

    suppression: Annotated[float, Field(gt=0, le=1)] = 0.9

    @torch.no_grad()
    def explain(self, model: FlowModel, batch: Batch) -> list[Explanation]:
        """Runs every instance with each of its tokens suppressed.

        Raises:
            NotApplicable: Scores are not linear in keys, or have parts that do not come from them.
        """
        if any(layer.attention.relative is not None or layer.attention.cap is not None for layer in model.layers):
            raise NotApplicable(
                f"the attention scores of {model.name!r} have parts for distances or a soft cap, so that scaling keys does not "
                "scale them: atman needs scores that are products of queries and keys alone."
            )
        row, position = model.maskable(batch).nonzero(as_tuple=True)
        places = torch.arange(batch.ids.shape[1], device=row.device)
        tokens = torch.zeros(batch.ids.shape, dtype=model.dtype, device=row.device)
        clean = value(model.outputs(batch), batch)
        for part in torch.arange(len(row), device=row.device).split(rows_at_once(model, len(places), ROWS)):
            kept = 1 - self.suppression * (places == position[part, None]).to(model.dtype)
            q = _with_scaled_keys(model, batch.rows(row[part]), kept)
            tokens[row[part], position[part]] = clean[row[part]] - q
        return explanations(batch, tokens=tokens)


def _with_scaled_keys(model: FlowModel, rows: Batch, factors: Tensor) -> Tensor:
    """q of every row with the key vectors of each position multiplied by a factor (R, N), in all layers."""
    entering = Rows(rows, model.embed(model.words(rows), rows), edits={"key": lambda _, key: key * factors[..., None, None]})
    (trace,) = model.run(entering, target_only=True)
    return value(model.readout(trace.site("hidden", model.n_layers), rows), rows)
