"""What anything that flowgauge trains (a probe, a small model) receives: seed, checkpoints, training curve."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor


class TrainingSession(Protocol):
    """The surroundings of one training.

    Attributes:
        seed: The seed of everything that the training draws.
    """

    seed: int

    def resume(self) -> dict[str, Tensor]:
        """The tensors of the last checkpoint by name; empty at the start."""
        ...

    def checkpoint(self, tensors: Mapping[str, Tensor]) -> None:
        """Offers the tensors from which the training can continue; they are written every few seconds at most."""
        ...

    def log(self, step: int, steps: int, **numbers: float) -> None:
        """Adds a row to the training curve after step `step` of `steps`."""
        ...


@dataclass
class InMemorySession:
    """A training session that keeps its curve in memory and writes nothing, for notebooks and tests."""

    seed: int = 0
    curve: list[dict[str, float]] = field(default_factory=list)

    def resume(self) -> dict[str, Tensor]:
        """No tensors, so that training starts from the beginning."""
        return {}

    def checkpoint(self, tensors: Mapping[str, Tensor]) -> None:
        """Does nothing."""

    def log(self, step: int, steps: int, **numbers: float) -> None:
        """Adds a row to `curve`."""
        self.curve.append({"step": step, **numbers})
