"""Lagrange multipliers of constraints that training must keep, raised while they are broken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import torch
from jaxtyping import Float
from torch import Tensor

MOST = 200.0


@dataclass(eq=False)
class Multipliers:
    """Multipliers lambda of constraints `excess <= 0`, one an entry.

    min over the model, max over lambda >= 0 of  objective + lambda * excess: ascent by RMSprop (its gradient is the excess), then
    a clamp to [0, 200] (De Cao et al. 2020, section 2.3 and their code).

    Attributes:
        value: lambda.
        square: Running mean of the squared excess.
        rate: Learning rate.
        smoothing: Of the running mean.
    """

    value: Float[Tensor, "*constraints"]
    square: Float[Tensor, "*constraints"]
    rate: float = 0.3
    smoothing: float = 0.99

    @classmethod
    def start(cls, *shape: int, rate: float = 0.3, like: Tensor | None = None) -> Self:
        """All of them 1, with the type and device of `like`."""
        value = torch.ones(shape) if like is None else like.new_ones(shape)
        return cls(value, torch.zeros_like(value), rate)

    def ascend(self, excess: Tensor, at: Any = ...) -> None:
        """One step of the entries `at`; the others, and their running means, stay. An excess that is not finite is left out."""
        excess = excess.detach()
        excess = torch.where(excess.isfinite(), excess, 0)
        square = self.smoothing * self.square[at] + (1 - self.smoothing) * excess**2
        self.square[at] = square
        self.value[at] = (self.value[at] + self.rate * excess / (square.sqrt() + 1e-8)).clamp(0, MOST)

    def state(self) -> dict[str, Tensor]:
        """Tensors for a checkpoint."""
        return {"value": self.value.clone(), "square": self.square.clone()}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Goes on from `state()`."""
        self.value.copy_(state["value"])
        self.square.copy_(state["square"])
