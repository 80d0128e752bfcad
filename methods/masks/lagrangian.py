"""Lagrange multipliers of the constraints of a training; a multiplier rises while its constraint is violated."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import torch
from jaxtyping import Float
from torch import Tensor

MOST = 200.0
"""Largest value of a multiplier."""


@dataclass(eq=False)
class Multipliers:
    """Multipliers lambda of constraints `excess <= 0`, one entry for each constraint.

    min over the gates, max over lambda >= 0 of  objective + lambda * excess: ascent by RMSprop (the gradient for lambda is the
    excess), then a clamp to [0, 200]. Source: De Cao et al. 2020, section 2.3 and their code.

    Attributes:
        value: The multipliers lambda.
        square: Running mean of the squared excess.
        rate: Learning rate.
        smoothing: Weight of the past in the running mean.
    """

    value: Float[Tensor, "*constraints"]
    square: Float[Tensor, "*constraints"]
    rate: float = 0.3
    smoothing: float = 0.99

    @classmethod
    def start(cls, *shape: int, rate: float = 0.3, like: Tensor | None = None) -> Self:
        """Multipliers that are all 1, with the type and device of `like`."""
        value = torch.ones(shape) if like is None else like.new_ones(shape)
        return cls(value, torch.zeros_like(value), rate)

    def ascend(self, excess: Tensor, index: Any = ...) -> None:
        """Moves the multipliers at `index`; other multipliers and their running means do not change.

        Args:
            excess: By how much each constraint is violated; an excess that is not finite counts as 0.
            index: Entries that move; all if left out.

        >>> multipliers = Multipliers.start(2)
        >>> multipliers.ascend(torch.tensor(0.5), 0)
        >>> multipliers.value
        tensor([4.0000, 1.0000])
        """
        excess = excess.detach()
        excess = torch.where(excess.isfinite(), excess, 0)
        square = self.smoothing * self.square[index] + (1 - self.smoothing) * excess**2
        self.square[index] = square
        self.value[index] = (self.value[index] + self.rate * excess / (square.sqrt() + 1e-8)).clamp(0, MOST)

    def restart(self, index: Any) -> None:
        """Sets the multipliers at `index` back to 1 and forgets their running means."""
        self.value[index] = 1
        self.square[index] = 0

    def state(self) -> dict[str, Tensor]:
        """The tensors of a checkpoint."""
        return {"value": self.value.clone(), "square": self.square.clone()}

    def restore(self, state: dict[str, Tensor]) -> None:
        """Continues from the tensors of a checkpoint."""
        self.value.copy_(state["value"])
        self.square.copy_(state["square"])
