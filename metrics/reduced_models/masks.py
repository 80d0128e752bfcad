"""Runs the model under an explanation's masks, one depth at a time, as the method that gave them does."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple, get_args

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ...core.errors import NotApplicable, UsageError
from ...methods.explanation import Explanation
from ...methods.views import masks_words
from ...models.baseline import blanked
from ...models.batch import Batch
from ...models.interventions.states import blend, clean_states, outputs_from
from ...models.layered import Layered
from ...models.outputs import divergence, prediction
from ..base import ExplainedBatch

Operator = Literal["own", "zero", "mask"]
Form = Literal["hard", "expected"]
FORMS: tuple[Form, ...] = ("hard", "expected")
OPEN = 0.5
"""A gate that is more likely open than not is kept (`hard`)."""


class MaskedOutputs(NamedTuple):
    """The model under the masks of one batch (and draw).

    Attributes:
        divergence: KL of the clean to the masked output (nats), by form, depth and instance.
        predicted: What it predicts, by form, depth, instance and output head.
        clean: What it predicts unmasked.
        kept: Whether a position is kept (`hard`), or how far (`expected`: P(keep)), by form, depth, instance and position.
        free: Positions that may be masked.
    """

    divergence: Float[np.ndarray, "forms depths rows"]
    predicted: np.ndarray
    clean: np.ndarray
    kept: Float[np.ndarray, "forms depths rows tokens"]
    free: Bool[np.ndarray, "rows tokens"]


def check_operator(operator: str) -> None:
    """Refuses what is no operator.

    Raises:
        UsageError: With what there is.
    """
    if operator not in get_args(Operator):
        raise UsageError(f"operator must be one of {', '.join(get_args(Operator))}, got {operator!r}.")


def masked_runs(model: Layered, shown: ExplainedBatch, operator: Operator) -> list[MaskedOutputs]:
    """The model under the masks of a batch, one entry a draw; metrics of one cell share the runs.

    Raises:
        NotApplicable: There is no mask of every depth, or nothing that stands in for what is masked.
    """
    kept = shown.batch.cache.get("masked model")
    if kept is None or kept[0] is not shown.predicted or kept[1] != operator:
        draws = list(zip(*(one.each() for one in shown.predicted), strict=True))
        found = [_run(model, shown.batch, draw, operator) for draw in draws]
        kept = shown.batch.cache["masked model"] = (shown.predicted, operator, found)
    runs: list[MaskedOutputs] = kept[2]
    return runs


def masks(
    model: Layered, batch: Batch, explanations: Sequence[Explanation], form: Form
) -> Float[np.ndarray, "depths rows tokens"]:
    """Keep probabilities (`expected`) or whether they are above a half (`hard`), padded with 1.

    Raises:
        NotApplicable: An explanation has no mask of L + 2 depths.
    """
    depths = model.n_layers + 2
    found = np.ones((depths, *batch.ids.shape))
    for row, one in enumerate(explanations):
        if one.mask is None:
            raise NotApplicable(f"the method gives {', '.join(sorted(one.views))}, and this metric reads a mask.")
        if len(one.mask) != depths:
            raise NotApplicable(f"the mask has {len(one.mask)} depths, and the model {depths}.")
        found[:, row, : one.mask.shape[1]] = one.mask > OPEN if form == "hard" else one.mask
    return found


@torch.no_grad()
def _run(model: Layered, batch: Batch, draw: Sequence[Explanation], operator: Operator) -> MaskedOutputs:
    kept = np.stack([masks(model, batch, draw, form) for form in FORMS])
    gates = kept.copy()
    for row, one in enumerate(draw):
        if one.gate is not None:
            gates[1, :, row, : one.gate.shape[1]] = one.gate
    states, free = clean_states(model, batch), batch.attention_mask & model.maskable(batch)
    outputs = model.readout(states[-1], batch)
    lost, predicted = [], []
    for keep in torch.from_numpy(gates):
        for depth, (site, fill) in enumerate(_stand_ins(model, batch, draw, operator, states)):
            keeping = torch.where(free, keep[depth].to(states[site]), 1)
            under = outputs_from(model, batch, site, blend(states[site], keeping, fill))
            lost.append(divergence(under, outputs).double().cpu().numpy())
            predicted.append(prediction(under, batch).cpu().numpy())
    shape = kept.shape[:2]
    every = np.stack(predicted).reshape(*shape, *predicted[0].shape)
    clean = prediction(outputs, batch).cpu().numpy()
    return MaskedOutputs(np.stack(lost).reshape(*shape, -1), every, clean, kept, free.cpu().numpy())


def _stand_ins(
    model: Layered, batch: Batch, draw: Sequence[Explanation], operator: Operator, states: Sequence[Tensor]
) -> Iterator[tuple[int, Tensor]]:
    """For each depth of the mask: which states it masks, and what stands in for them (B, N or 1, width)."""
    depths, at_words = len(states), masks_words(draw[0])
    if operator == "own" and draw[0].fill is None:
        raise NotApplicable("the method says nothing of what stands in for a masked state: use operator=zero or mask.")
    blank = clean_states(model, blanked(model, batch)) if operator == "mask" else []
    for depth in range(depths):
        site = 0 if at_words else depth
        if operator == "zero":
            yield site, torch.zeros_like(states[site])
        elif operator == "mask":
            yield site, blank[site]
        else:
            rows = np.stack([_fill(one)[0 if at_words else depth] for one in draw])[:, None, : states[site].shape[-1]]
            yield site, torch.from_numpy(rows).to(states[site])


def _fill(explanation: Explanation) -> np.ndarray:
    assert explanation.fill is not None
    return explanation.fill
