"""Rotary positions: pairs of a query's or key's units turn by an angle that grows with the position (Su et al. 2021)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from .base import Positions


@dataclass(frozen=True, eq=False)
class Rotary:
    """The turn of query and key vectors, which is linear and keeps their lengths.

    Attributes:
        angles: (x, positions) to cosine and sine of every unit's angle, (*rows, units turned), in the type of x; units
            beyond those stay as they are.
    """

    angles: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]

    def at(self, like: Tensor, positions: Positions) -> Turn:
        """The turn of vectors at positions.

        Args:
            like: A tensor of the type and device of the vectors.
            positions: Of each vector, on any axes.
        """
        # the models' modules take positions with two axes
        cos, sin = self.angles(like, positions.reshape(1, -1))
        return Turn(*(x[0].unflatten(0, positions.shape) if positions.ndim != 1 else x[0] for x in (cos, sin)))


@dataclass(frozen=True, eq=False)
class Turn:
    """The turn of vectors at known positions.

    Attributes:
        cos: Cosine of each unit's angle (*rows, units turned).
        sin: Sine of each unit's angle.
    """

    cos: Tensor
    sin: Tensor

    def __call__(self, x: Float[Tensor, "*rows heads size"]) -> Float[Tensor, "*rows heads size"]:
        """The vectors of every head, turned."""
        return self._turn(x, self.sin)

    def back(self, grad: Float[Tensor, "*rows heads size"]) -> Float[Tensor, "*rows heads size"]:
        """The transpose: gradients of the vectors from those of the turned vectors."""
        half = self.sin.shape[-1] // 2
        return self._turn(grad, -torch.cat([self.sin[..., half:], self.sin[..., :half]], -1))

    def _turn(self, x: Tensor, sin: Tensor) -> Tensor:
        size = self.cos.shape[-1]
        turned, rest = x[..., :size], x[..., size:]
        first, second = turned.chunk(2, -1)
        turned = turned * self.cos[..., None, :] + torch.cat([-second, first], -1) * sin[..., None, :]
        return torch.cat([turned, rest], -1) if rest.shape[-1] else turned
