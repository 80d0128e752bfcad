"""What is read from the last hidden state as a linear map: deviations of norms and act(x) / x are held at the clean input."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from ...core.errors import NotApplicable
from ...models.batch import Batch
from ...models.flow.flow_model import FlowModel, at_target
from ...models.layers.derivative_rules import (
    ELEMENTWISE,
    DerivativeRules,
    Function,
    Rule,
    constant_deviation,
    identity_rule,
    norm_rules,
)
from ...models.outputs import value

HELD: Mapping[Function, Rule] = {**dict.fromkeys(ELEMENTWISE, identity_rule), **norm_rules(constant_deviation)}
"""Rules of a readout that is linear: activation functions as act(x) / x, deviations of norms constant."""


class LinearReadout(NamedTuple):
    """q = <direction, hidden[L] at the target> + bias, at the clean input.

    Attributes:
        direction: Of each instance (B, D).
        bias: What the biases of norms and head add to q (B,).
        q: The batch's quantity (B,).
    """

    direction: Float[Tensor, "batch hidden"]
    bias: Float[Tensor, " batch"]
    q: Float[Tensor, " batch"]


def linear_readout(model: FlowModel, batch: Batch, last: Float[Tensor, "batch tokens hidden"]) -> LinearReadout:
    """The readout with the deviation of each norm, and the ratio act(x) / x of each activation, held at the clean input.

    Args:
        model: The transformer.
        batch: The instances.
        last: hidden[L] in the clean pass.

    Raises:
        NotApplicable: The quantity is a probability, which is not linear in the logits.
    """
    check_linear(batch)
    state = at_target(last, batch).detach().requires_grad_(True)
    with torch.enable_grad(), DerivativeRules(HELD):
        q = value(model.readout(state, batch), batch)
        (direction,) = torch.autograd.grad(q.sum(), state)
    q, direction = q.detach(), direction[:, 0]
    return LinearReadout(direction, q - (direction * state.detach()[:, 0]).sum(-1), q)


def check_linear(batch: Batch) -> None:
    """Refuses a quantity that is not linear in the logits.

    Raises:
        NotApplicable: It is a probability.
    """
    if batch.quantity.form not in ("logit", "logit_difference"):
        raise NotApplicable(
            f"it divides a quantity that is linear in the logits, and {batch.quantity.form} is not: ask for logit_difference or "
            "logit."
        )


def ratio(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """act(x) / x, whose limit at 0 is the slope there.

    >>> ratio(torch.relu, torch.tensor([-1.0, 0.5])).tolist()
    [-0.0, 1.0]
    """
    apart = torch.where(x.abs() < torch.finfo(x.dtype).eps, torch.finfo(x.dtype).eps, x)
    return function(apart) / apart
