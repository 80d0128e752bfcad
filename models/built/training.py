"""How anything that is trained here (a probe, a small model) is given its seed, checkpoints and progress."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from torch import Tensor


class TrainingSession(Protocol):
    """What a function that trains is handed.

    Attributes:
        seed: Of everything it draws.
    """

    seed: int

    def resume(self) -> dict[str, Tensor]:
        """Tensors of the last checkpoint; empty at the start."""
        ...

    def checkpoint(self, tensors: Mapping[str, Tensor]) -> None:
        """Keeps what is needed to go on from here after a kill; call it as often as you like, it writes every few seconds."""
        ...

    def log(self, step: int, steps: int, **numbers: float) -> None:
        """One row of the training curve: `step` of `steps` is done."""
        ...


@dataclass
class InMemorySession:
    """A training that keeps its curve and nothing on disk, for notebooks and tests."""

    seed: int = 0
    curve: list[dict[str, float]] = field(default_factory=list)

    def resume(self) -> dict[str, Tensor]:
        """Nothing: it starts anew."""
        return {}

    def checkpoint(self, tensors: Mapping[str, Tensor]) -> None:
        """Keeps nothing."""

    def log(self, step: int, steps: int, **numbers: float) -> None:
        """Adds a row to `curve`."""
        self.curve.append({"step": step, **numbers})
