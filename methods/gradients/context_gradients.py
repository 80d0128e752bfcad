"""Gradients at context vectors and hidden states, by one forward and one backward pass on the input itself."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ...core.errors import NotApplicable
from ...models.batch import Batch, Rows, Site, Trace
from ...models.flow.flow_model import FlowModel
from ...models.layered import Layered
from ...models.memory import affordable, layer_bytes
from ...models.outputs import value
from ...models.problem_types import problem_type
from ...models.shapes import Heads, Outputs, PerRow

Objective = Literal["quantity", "probability", "loss", "logit_sum"]


class ContextGradients(NamedTuple):
    """The trace with the kept sites, and the gradients dF/dcontext[l] (B, N, A, d) for l = 0..L-1."""

    trace: Trace
    gradients: tuple[Heads, ...]


class StateProducts(NamedTuple):
    """The trace with the kept sites, q of every row, and <hidden[l]_i, dq/dhidden[l]_i> (units of q)."""

    trace: Trace
    q: PerRow
    products: Float[Tensor, "batch depths tokens"]


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
        (trace,) = model.run(Rows(batch, hidden.detach().requires_grad_(True)), keep={"context", *keep})
        scalar = objective(model.readout(trace.site("hidden", model.n_layers), batch), batch, name)
        contexts: list[Tensor] = [trace.whole("context", layer) for layer in range(model.n_layers)]
        return ContextGradients(trace, torch.autograd.grad(scalar.sum(), contexts))


def state_products(
    model: FlowModel, batch: Batch, keep: Collection[Site] = (), rules: AbstractContextManager[object] | None = None
) -> StateProducts:
    """The gradient of q at every hidden state times the state, summed over dimensions.

    Args:
        model: The model.
        batch: The batch.
        keep: Sites to keep in the trace besides `hidden`.
        rules: Held while the layers and the readout run, so that it can change their derivatives; None: it changes none.
    """
    with torch.no_grad():
        start = model.embed(model.words(batch), batch)
    with torch.enable_grad():
        with rules or nullcontext():
            (trace,) = model.run(Rows(batch, start.detach().requires_grad_(True)), keep={"hidden", *keep})
            outputs = model.readout(trace.site("hidden", model.n_layers), batch)
        q = value(outputs, batch)
        hidden = [trace.whole("hidden", depth) for depth in range(model.n_layers + 1)]
        gradients = torch.autograd.grad(q.sum(), hidden)
    products = [(state.detach() * gradient).sum(-1) for state, gradient in zip(hidden, gradients, strict=True)]
    return StateProducts(trace, q.detach(), torch.stack(products, 1))


def pieces(model: FlowModel, batch: Batch, copies: int = 1) -> Iterator[Batch]:
    """The batch in parts, in order, for which the graph of all layers, with weights, fits into a half of the memory budget.

    Args:
        model: The model.
        batch: The batch.
        copies: Rows that run for each instance.
    """
    each = copies * model.n_layers * layer_bytes(model, batch.ids.shape[1])
    index = torch.arange(len(batch), device=batch.ids.device)
    return (batch.rows(some) for some in index.split(affordable(each, 1 / 2)))
