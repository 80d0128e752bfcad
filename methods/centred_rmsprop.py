"""Centred RMSprop, the optimiser of masks, with a state of tensors and bounded steps where the variance vanishes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(eq=False)
class CentredRMSprop:
    """Steps of -rate * g / (sqrt(E[g^2] - E[g]^2) + eps), E running means (Graves 2013, equations 38-41, no momentum).

    Unlike in `torch.optim.RMSprop(centered=True)`, a variance that is negative by rounding counts as 0, gradients that are not
    finite count as 0, and a step is at most `longest` learning rates long: where gradients are nearly constant, their variance is
    nearly 0 and the step would have no bound.

    Attributes:
        rates: Learning rate of each parameter.
        smoothing: Weight of the past in the running means.
        warmup: Number of steps over which learning rates rise linearly.
        eps: Term added to the root.
        longest: Largest step of a parameter, in learning rates.
        state: Running means by parameter, and the number of steps.
    """

    rates: Mapping[str, float]
    smoothing: float = 0.99
    warmup: int = 0
    eps: float = 1e-8
    longest: float = 100.0
    state: dict[str, Tensor] = field(default_factory=dict)

    @torch.no_grad()
    def step(self, parameters: Mapping[str, Tensor]) -> None:
        """Moves the parameters that have a gradient, and clears it; other parameters and their means do not change."""
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

    def restart(self, names: Collection[str], slower: float) -> None:
        """Forgets the running means of some parameters, divides their rates, and lets all rates rise again.

        Args:
            names: The parameters.
            slower: What their learning rates are divided by.
        """
        for name in names:
            for kind in ("mean", "square"):
                self.state.pop(f"{kind}.{name}", None)
        self.rates = {name: rate / slower if name in names else rate for name, rate in self.rates.items()}
        self.state.pop("count", None)
