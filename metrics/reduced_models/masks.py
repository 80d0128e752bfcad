"""Runs the model with the states that an explanation's mask drops replaced, one depth at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ...core.errors import NotApplicable
from ...methods.explanation import Explanation
from ...methods.views import describe_views, masks_words
from ...models.baseline import blanked
from ...models.batch import Batch
from ...models.interventions.ablation import MaskReplacement
from ...models.interventions.states import blend, clean_states, outputs_from
from ...models.layered import Layered
from ...models.outputs import divergence, prediction
from ..base import ExplainedBatch

Form = Literal["hard", "expected"]
FORMS: tuple[Form, ...] = ("hard", "expected")
OPEN = 0.5
"""A gate that is more likely open than not is kept (`hard`)."""


class MaskedOutputs(NamedTuple):
    """What the model gives under the masks of one batch (and draw).

    Attributes:
        divergence: KL of the clean to the masked output (nats), by form, depth and instance.
        predicted: The masked model's prediction, by form, depth, instance and output head.
        clean: The whole model's prediction, by instance and output head.
        kept: Whether a position is kept (`hard`), or how far (`expected`: P(keep)), by form, depth, instance and position.
        free: Positions that may be masked.
    """

    divergence: Float[np.ndarray, "forms depths rows"]
    predicted: np.ndarray
    clean: np.ndarray
    kept: Float[np.ndarray, "forms depths rows tokens"]
    free: Bool[np.ndarray, "rows tokens"]


def masked_runs(model: Layered, explained: ExplainedBatch, operator: MaskReplacement) -> list[MaskedOutputs]:
    """The model under the masks of a batch, one entry a draw; the metrics of one cell share the runs through the batch's cache.

    Args:
        model: Any model.
        explained: The batch; the masks are those of the predicted answer.
        operator: What replaces the states that a mask drops.

    Raises:
        NotApplicable: There is no mask of every depth, or nothing that replaces what is masked.
    """
    cached = explained.batch.cache.get("masked model")
    if cached is None or cached[0] is not explained.predicted or cached[1] != operator:
        draws = zip(*(explanation.each() for explanation in explained.predicted), strict=True)
        runs = [_run(model, explained.batch, draw, operator) for draw in list(draws)]
        cached = explained.batch.cache["masked model"] = (explained.predicted, operator, runs)
    shared: list[MaskedOutputs] = cached[2]
    return shared


def masks(
    model: Layered, batch: Batch, explanations: Sequence[Explanation], form: Form
) -> Float[np.ndarray, "depths rows tokens"]:
    """Keep probabilities (`expected`) or whether they are above a half (`hard`), padded with 1.

    Args:
        model: The model that was explained.
        batch: The instances.
        explanations: One an instance.
        form: `hard` or `expected`.

    Raises:
        NotApplicable: An explanation has no mask of L + 2 depths.
    """
    depths = model.n_layers + 2
    kept = np.ones((depths, *batch.ids.shape))
    for row, explanation in enumerate(explanations):
        mask = explanation.mask
        if mask is None:
            raise NotApplicable(f"the method gives {describe_views(explanation)}, and this metric reads a mask.")
        if len(mask) != depths:
            raise NotApplicable(f"the mask has {len(mask)} depths, and the model has {depths}.")
        kept[:, row, : mask.shape[1]] = mask > OPEN if form == "hard" else mask
    return kept


@torch.no_grad()
def _run(model: Layered, batch: Batch, draw: Sequence[Explanation], operator: MaskReplacement) -> MaskedOutputs:
    kept = np.stack([masks(model, batch, draw, form) for form in FORMS])
    gates = kept.copy()
    for row, explanation in enumerate(draw):
        if explanation.gate is not None:  # the mask that the method itself ran with
            gates[1, :, row, : explanation.gate.shape[1]] = explanation.gate
    states, free = clean_states(model, batch), batch.attention_mask & model.maskable(batch)
    outputs = model.readout(states[-1], batch)
    divergences, predictions = [], []
    for gate in torch.from_numpy(gates):
        for depth, (site, fill) in enumerate(_replacements(model, batch, draw, operator, states)):
            keep = torch.where(free, gate[depth].to(states[site]), 1)
            masked = outputs_from(model, batch, site, blend(states[site], keep, fill))
            divergences.append(divergence(masked, outputs).double().cpu().numpy())
            predictions.append(prediction(masked, batch).cpu().numpy())
    forms_and_depths = kept.shape[:2]
    return MaskedOutputs(
        divergence=np.stack(divergences).reshape(*forms_and_depths, -1),
        predicted=np.stack(predictions).reshape(*forms_and_depths, *predictions[0].shape),
        clean=prediction(outputs, batch).cpu().numpy(),
        kept=kept,
        free=free.cpu().numpy(),
    )


def _replacements(
    model: Layered, batch: Batch, draw: Sequence[Explanation], operator: MaskReplacement, states: Sequence[Tensor]
) -> Iterator[tuple[int, Tensor]]:
    """For each depth of the mask: the index of the states that it masks, and what replaces them (B, N or 1, width)."""
    of_words = masks_words(draw[0])
    fills = [explanation.fill for explanation in draw if explanation.fill is not None]
    if operator == "own" and draw[0].fill is None:
        raise NotApplicable("the method does not say what replaces a masked state: use operator=zero or mask.")
    blank = clean_states(model, blanked(model, batch)) if operator == "mask" else []
    for depth in range(len(states)):
        site = 0 if of_words else depth
        if operator == "zero":
            yield site, torch.zeros_like(states[site])
        elif operator == "mask":
            yield site, blank[site]
        else:
            rows = np.stack([fill[site] for fill in fills])[:, None, : states[site].shape[-1]]
            yield site, torch.from_numpy(rows).to(states[site])
