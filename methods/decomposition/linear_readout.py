"""What is read from the last hidden state as a linear map: deviations of norms and act(x) / x are held at the clean input."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.overrides import TorchFunctionMode

from ...core.errors import NotApplicable
from ...models.batch import Batch
from ...models.flow.flow_model import FlowModel, at_target
from ...models.outputs import value

ACTIVATIONS = {"gelu", "relu", "silu", "tanh"}
"""Activation functions by torch's names for them."""


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

    Activations are known by the names of torch's functions, and the tanh form of gelu; a head that computes another one by a
    formula of its own is linear there by the formula's derivative, and `bias` has what is left.

    Args:
        model: The transformer.
        batch: The instances.
        last: hidden[L] in the clean pass.

    Raises:
        NotApplicable: The quantity is a probability, which is not linear in the logits.
    """
    if batch.quantity.form not in ("logit", "logit_difference"):
        raise NotApplicable(
            f"it divides a quantity that is linear in the logits, and {batch.quantity.form} is not: ask for logit_difference or "
            "logit."
        )
    state = at_target(last, batch).detach().requires_grad_(True)
    with torch.enable_grad(), _Held():
        q = value(model.readout(state, batch), batch)
        (direction,) = torch.autograd.grad(q.sum(), state)
    q, direction = q.detach(), direction[:, 0]
    return LinearReadout(direction, q - (direction * state.detach()[:, 0]).sum(-1), q)


def ratio(function: Callable[[Tensor], Tensor], x: Tensor) -> Tensor:
    """act(x) / x, whose limit at 0 is the slope there.

    >>> ratio(torch.relu, torch.tensor([-1.0, 0.5])).tolist()
    [-0.0, 1.0]
    """
    apart = torch.where(x.abs() < torch.finfo(x.dtype).eps, torch.finfo(x.dtype).eps, x)
    return function(apart) / apart


class _Held(TorchFunctionMode):
    """Replaces the norms and activation functions that torch is asked for by linear maps of the same value."""

    def __init__(self) -> None:
        super().__init__()
        self.in_gelu = False

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        name, named = getattr(function, "__name__", ""), dict(kwargs or {})
        if name == "layer_norm":
            return _layer_norm(*args, **named)
        if name == "rms_norm":
            return _rms_norm(*args, **named)
        if name == "pow":  # the tanh approximation of gelu as a formula, x (1 + tanh(.. x ** 3 ..)) / 2: its factor is act(x) / x
            self.in_gelu = True
        elif name == "tanh" and self.in_gelu:
            self.in_gelu = False
            return function(*args, **named).detach()
        elif name in ACTIVATIONS:
            x, *rest = args
            named.pop("inplace", None)
            return x * ratio(lambda point: function(point, *rest, **named), x.detach())
        return function(*args, **named)


def _layer_norm(
    x: Tensor, shape: Any, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5, *_: Any
) -> Tensor:
    centred = x - x.mean(-1, keepdim=True)
    return _scaled(centred, weight, eps) if bias is None else _scaled(centred, weight, eps) + bias


def _rms_norm(x: Tensor, shape: Any, weight: Tensor | None = None, eps: float | None = None) -> Tensor:
    return _scaled(x, weight, torch.finfo(x.dtype).eps if eps is None else eps)


def _scaled(x: Tensor, weight: Tensor | None, eps: float) -> Tensor:
    unit = x * torch.rsqrt(x.detach().square().mean(-1, keepdim=True) + eps)
    return unit if weight is None else unit * weight
