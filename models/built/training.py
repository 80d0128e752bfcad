"""What anything that flowgauge trains (a probe, a small model) receives: seed, checkpoints, training curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

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

    def conclude(self, converged: bool | None, warnings: Sequence[str] = (), restarts: int = 0, **numbers: float) -> None:
        """Says how a training ended, for its record and for the record of every cell that uses it.

        Args:
            converged: Whether it has converged; None: that cannot be judged.
            warnings: What a reader of its numbers has to know, in clauses that follow a colon.
            restarts: How often it went back to earlier parameters.
            numbers: Further facts by name.
        """
        ...


@dataclass
class InMemorySession:
    """A training session that keeps curve and outcome in memory and writes nothing, for notebooks and tests."""

    seed: int = 0
    curve: list[dict[str, float]] = field(default_factory=list)
    outcome: dict[str, Any] = field(default_factory=dict)

    def resume(self) -> dict[str, Tensor]:
        """No tensors, so that training starts from the beginning."""
        return {}

    def checkpoint(self, tensors: Mapping[str, Tensor]) -> None:
        """Does nothing."""

    def log(self, step: int, steps: int, **numbers: float) -> None:
        """Adds a row to `curve`."""
        self.curve.append({"step": step, **numbers})

    def conclude(self, converged: bool | None, warnings: Sequence[str] = (), restarts: int = 0, **numbers: float) -> None:
        """Keeps the facts in `outcome`."""
        self.outcome = {"converged": converged, "warnings": tuple(warnings), "restarts": restarts, **numbers}
