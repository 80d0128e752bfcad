"""Centred RMSprop as DiffMask trains its gates, with a state that is tensors and a guard where the variance vanishes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(eq=False)
class CentredRMSprop:
    """Steps of -rate * g / (sqrt(E[g^2] - E[g]^2) + eps), E running means (Graves 2013, equations 38-41, no momentum).

    Unlike `torch.optim.RMSprop(centered=True)` a variance that rounding makes negative counts as 0, a step is at most `longest`
    rates long, so that nearly constant gradients do not throw a parameter away, and gradients that are not finite are zeros.

    Attributes:
        rates: Learning rate of each parameter.
        smoothing: Of the running means.
        warmup: Steps over which rates rise linearly.
        eps: Added to the root.
        longest: Largest step of a parameter, in rates.
        state: Running means by parameter, and the count of steps.
    """

    rates: Mapping[str, float]
    smoothing: float = 0.99
    warmup: int = 0
    eps: float = 1e-8
    longest: float = 100.0
    state: dict[str, Tensor] = field(default_factory=dict)

    @torch.no_grad()
    def step(self, parameters: Mapping[str, Tensor]) -> None:
        """One step of the parameters that have a gradient, which is cleared; the others, and their means, stay."""
        count = self.state.setdefault("count", torch.zeros((), dtype=torch.int64))
        count += 1
        warm = min(1.0, int(count) / self.warmup) if self.warmup else 1.0
        for name, parameter in parameters.items():
            if parameter.grad is None:
                continue
            grad = parameter.grad.nan_to_num(0.0, 0.0, 0.0)
            mean = self.state.setdefault(f"mean.{name}", torch.zeros_like(grad))
            square = self.state.setdefault(f"square.{name}", torch.zeros_like(grad))
            mean.lerp_(grad, 1 - self.smoothing)
            square.lerp_(grad**2, 1 - self.smoothing)
            root = (square - mean**2).clamp_min(0).sqrt() + self.eps
            parameter -= warm * self.rates[name] * (grad / root).clamp(-self.longest, self.longest)
            parameter.grad = None
