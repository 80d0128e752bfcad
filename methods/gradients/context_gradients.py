"""Gradients at the context vectors of every head, by one forward and one backward pass on the input itself."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Literal, NamedTuple

import torch
from torch import Tensor

from ...core.errors import NotApplicable
from ...models.batch import Batch, Rows, Site, Trace
from ...models.flow.flow_model import FlowModel
from ...models.layered import Layered
from ...models.outputs import value
from ...models.problem_types import problem_type
from ...models.shapes import Heads, Outputs, PerRow

Objective = Literal["quantity", "probability", "loss", "logit_sum"]


class ContextGradients(NamedTuple):
    """The trace with the kept sites, and the gradients dF/dcontext[l] (B, N, A, d) for l = 0..L-1."""

    trace: Trace
    gradients: tuple[Heads, ...]


def check_classes_for(model: Layered, name: str, setting: str) -> None:
    """Refuses an objective that needs classes where the model gives a score, and says which setting explains the score.

    Args:
        model: The model.
        name: The objective: `probability` and `loss` need classes.
        setting: What the method calls the setting.

    Raises:
        NotApplicable: The model has a regression head.
    """
    if name in ("probability", "loss") and problem_type(model) == "regression":
        raise NotApplicable(f"the model gives one score and no classes, so that it has no {name}: use {setting}=quantity.")


def objective(outputs: Outputs, batch: Batch, name: Objective) -> PerRow:
    """The scalar F of every row that is differentiated.

    Args:
        outputs: Logits of the output heads, each (R, C).
        batch: The batch, with the explained quantity and answer.
        name: `quantity` (the batch's q), `probability` of the batch's answer, `loss` (its cross-entropy in nats), or `logit_sum`
            over all outputs.

    Returns:
        One number for each row.
    """
    if name == "quantity":
        return value(outputs, batch)
    if name == "logit_sum":
        return torch.stack([logits.sum(1) for logits in outputs]).sum(0)
    form: Literal["probability", "log_probability"] = "probability" if name == "probability" else "log_probability"
    answer = value(outputs, replace(batch, quantity=replace(batch.quantity, form=form)))
    return answer if name == "probability" else -answer


def context_gradients(model: FlowModel, batch: Batch, name: Objective, keep: Collection[Site] = ()) -> ContextGradients:
    """Runs the batch once forwards and once backwards; rows are independent, so the gradient of their sum is each row's own.

    Args:
        model: The model.
        batch: The batch.
        name: The objective F, as for `objective`.
        keep: Sites to keep in the trace besides `context`.

    Returns:
        The trace and the gradients of every layer.
    """
    with torch.no_grad():
        hidden = model.embed(model.words(batch), batch)
    with torch.enable_grad():
        (trace,) = model.run(Rows(batch, hidden.requires_grad_(True)), keep={"context", *keep})
        scalar = objective(model.readout(trace.site("hidden", model.n_layers), batch), batch, name)
        contexts: list[Tensor] = [trace.whole("context", layer) for layer in range(model.n_layers)]
        return ContextGradients(trace, torch.autograd.grad(scalar.sum(), contexts))
