"""Functions of torch that keep their values and have other derivatives: how relevance and differences go back through a model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.functional import layer_norm, rms_norm
from torch.overrides import TorchFunctionMode, handle_torch_function, has_torch_function_unary

Function = Callable[..., Tensor]
Rule = Callable[..., Tensor]
"""(function, *arguments of it) to its value, with the derivative of the rule."""


class DerivativeRules(TorchFunctionMode):
    """While it is held, functions of torch have the derivatives of rules; inside a rule they have their own.

    Args:
        rules: By the function as torch's overrides name it, such as `Tensor.matmul` for `a @ b`. A rule is used where the first
            argument is differentiated.
    """

    def __init__(self, rules: Mapping[Function, Rule]) -> None:
        super().__init__()
        self.rules = rules

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        rule = self.rules.get(func)
        if rule is None or not args[0].requires_grad:
            return func(*args, **(kwargs or {}))
        return rule(func, *args, **(kwargs or {}))


def with_derivative(value: Tensor, other: Tensor) -> Tensor:
    """The value of one expression, to the last bit, with the derivative of another, which is finite.

    >>> import torch
    >>> x = torch.tensor(3.0, requires_grad=True)
    >>> y = with_derivative(x.square(), 5 * x)
    >>> y.item(), torch.autograd.grad(y, x)[0].item()
    (9.0, 5.0)
    """
    return value.detach() + (other - other.detach())


def activated(x: Tensor, act: Function) -> Tensor:
    """act(x), which rules see as this one function whatever the activation function is composed of."""
    return handle_torch_function(activated, (x,), x, act) if has_torch_function_unary(x) else act(x)


def see_activations_whole(hf: nn.Module) -> None:
    """Lets rules see each activation function of transformers in a model as one, also where it is composed (gelu_new)."""
    for module in hf.modules():
        if type(module).__module__ == "transformers.activations" and "forward" not in vars(module):
            module.forward = partial(activated, act=module.forward)


ELEMENTWISE: tuple[Function, ...] = (
    activated, functional.gelu, functional.silu, functional.relu, torch.relu, torch.tanh,
)  # fmt: skip
"""Activation functions of layers and heads, and soft caps."""


def identity_rule(function: Function, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """A function of each number by itself, taken for multiplication with the constant f(x) / x; with 0 where x is 0."""
    y = function(x, *args, **kwargs).detach()
    return with_derivative(y, x * torch.where(x == 0, 0.0, y / x).detach())


def constant_deviation(x: Tensor, eps: float) -> Tensor:
    """x over its root mean square, which is taken for constant."""
    return x * torch.rsqrt(x.square().mean(-1, keepdim=True) + eps).detach()


def norm_rules(unit: Callable[[Tensor, float], Tensor]) -> dict[Function, Rule]:
    """Rules of LayerNorm and RMSNorm, in which all but one step is linear.

    Args:
        unit: x and eps to x / sqrt(mean square of x + eps) over the last axis, with the derivative that it shall have.
    """

    def weighted(x: Tensor, weight: Tensor | None, eps: float) -> Tensor:
        return unit(x, eps) if weight is None else unit(x, eps) * weight

    def centred_rule(
        function: Function, x: Tensor, shape: Any, weight: Tensor | None = None, bias: Tensor | None = None, eps: float = 1e-5
    ) -> Tensor:
        return with_derivative(function(x, shape, weight, bias, eps), weighted(x - x.mean(-1, keepdim=True), weight, eps))

    def root_rule(function: Function, x: Tensor, shape: Any, weight: Tensor | None, eps: float) -> Tensor:
        return with_derivative(function(x, shape, weight, eps), weighted(x, weight, eps))

    return {layer_norm: centred_rule, rms_norm: root_rule}
