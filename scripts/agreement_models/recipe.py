"""The settings that determine an embedded model's weights."""

from __future__ import annotations

import math
from dataclasses import dataclass

RECIPE = "recipe.json"
"""The file of a model's folder that has its recipe."""


@dataclass(frozen=True)
class Recipe:
    """The settings that every embedded model has.

    Attributes:
        seed: Of the initial weights and of the sentences.
        steps: Number of updates.
        batch: Sentences of an update.
        rate: Largest learning rate of AdamW; linear warm-up over `warmup` steps, then a cosine to zero.
        warmup: Steps of the warm-up.
        decay: Weight decay.
    """

    seed: int = 0
    steps: int = 3000
    batch: int = 64
    rate: float = 1e-3
    warmup: int = 200
    decay: float = 0.01

    @property
    def updates(self) -> int:
        """Number of updates that are made; `steps`, unless a training ends before its schedule does."""
        return self.steps

    def rate_at(self, step: int) -> float:
        """The learning rate of an update, counted from 0.

        >>> recipe = Recipe(steps=300, warmup=100, rate=1.0)
        >>> [round(recipe.rate_at(step), 4) for step in (0, 49, 100, 200, 300)]
        [0.01, 0.5, 1.0, 0.5, 0.0]
        """
        if step < self.warmup:
            return self.rate * (step + 1) / self.warmup
        return self.rate * 0.5 * (1 + math.cos(math.pi * (step - self.warmup) / max(1, self.steps - self.warmup)))
