"""One clean forward and backward pass: gradients at every head's context vectors."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from ...core.errors import UsageError
from ...models.batch import Batch, Rows, Site, Trace
from ...models.flow.flow_model import FlowModel
from ...models.outputs import value
from ...models.shapes import Heads, Outputs, PerRow

Objective = Literal["quantity", "probability", "loss", "logit_sum"]


class ContextGradients(NamedTuple):
    """Kept sites, and dF/dcontext[l] (B, N, A, d) for l = 0..L-1."""

    trace: Trace
    gradients: tuple[Heads, ...]


def objective(outputs: Outputs, batch: Batch, name: Objective) -> PerRow:
    """The scalar F that is differentiated, of every row.

    `quantity`: the batch's own q. `probability`: of batch.answer. `loss`: its cross-entropy (nats). `logit_sum`: of all outputs.
    """
    if name == "quantity":
        return value(outputs, batch)
    if name == "logit_sum":
        return torch.stack([logits.sum(1) for logits in outputs]).sum(0)
    form: Literal["probability", "log_probability"] = "probability" if name == "probability" else "log_probability"
    found = value(outputs, replace(batch, quantity=replace(batch.quantity, form=form)))
    return found if name == "probability" else -found


def context_gradients(model: FlowModel, batch: Batch, name: Objective, keep: Collection[Site] = ()) -> ContextGradients:
    """Runs the batch once forwards and once backwards; rows are independent, so the gradient of their sum is each row's own.

    Args:
        model: The model.
        batch: The batch.
        name: F.
        keep: Sites to keep besides `context`.
    """
    with torch.no_grad():
        hidden = model.embed(model.words(batch), batch)
    with torch.enable_grad():
        (trace,) = model.run(Rows(batch, hidden.requires_grad_(True)), keep={"context", *keep})
        scalar = objective(model.readout(trace.site("hidden", model.n_layers), batch), batch, name)
        contexts: list[Tensor] = [trace.whole("context", layer) for layer in range(model.n_layers)]
        return ContextGradients(trace, torch.autograd.grad(scalar.sum(), contexts))


def check_choice(setting: str, given: str, literal: object) -> None:
    """Refuses a setting that is none of its literals."""
    if given not in get_args(literal):
        raise UsageError(f"{setting} must be one of {', '.join(get_args(literal))}; got {given!r}.")
