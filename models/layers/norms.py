"""LayerNorm and RMSNorm in the model's own precision, and their derivatives at the values of one forward pass."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import layer_norm, rms_norm

from .base import Index, select


@dataclass(frozen=True, eq=False)
class Norm:
    """(x - mean) / deviation * weight + bias, or without the mean (RMSNorm: Zhang and Sennrich 2019).

    transformers computes RMSNorm in float32 whatever the model's type is; this one has the model's type, so that in float64 its
    derivatives are exact.

    Attributes:
        module: A module with `weight` and perhaps `bias`, either of which may be None.
        eps: Added to the mean square.
        centred: Whether the mean is subtracted (LayerNorm).
        shift: Added to the weight, 1 in the Gemma families.
    """

    module: Any
    eps: float
    centred: bool = True
    shift: float = 0.0

    @property
    def weight(self) -> Float[Tensor, " size"] | None:
        """The factor of each unit, or None."""
        weight: Tensor | None = self.module.weight
        return weight + self.shift if weight is not None and self.shift else weight

    @property
    def bias(self) -> Float[Tensor, " size"] | None:
        """Added to each unit, or None."""
        return getattr(self.module, "bias", None)

    def __call__(self, x: Float[Tensor, "*rows size"]) -> Float[Tensor, "*rows size"]:
        if self.centred:
            return layer_norm(x, x.shape[-1:], self.weight, self.bias, self.eps)
        return rms_norm(x, x.shape[-1:], self.weight, self.eps)

    def slopes(self, before: Float[Tensor, "*rows size"]) -> NormSlopes:
        """Its derivatives at inputs, whose rows are flattened."""
        before = before.detach().flatten(0, -2)
        centred = before - before.mean(-1, keepdim=True) if self.centred else before
        rsd = torch.rsqrt(centred.square().mean(-1, keepdim=True) + self.eps)
        return NormSlopes(centred * rsd, rsd, self.weight, self.centred)


def layer_norm_of(module: Any) -> Norm:
    """The `Norm` of a `torch.nn.LayerNorm`."""
    return Norm(module, module.eps)


def rms_norm_of(module: Any, shift: float = 0.0) -> Norm:
    """The `Norm` of a module of transformers that computes RMSNorm."""
    eps = module.variance_epsilon if hasattr(module, "variance_epsilon") else module.eps
    return Norm(module, eps, centred=False, shift=shift)


class NormSlopes(NamedTuple):
    """A norm at the values of one forward pass, for its derivatives.

    Attributes:
        unit: The normalised inputs, before the weight (rows, size).
        rsd: One over the deviation (rows, 1).
        weight: The factor of each unit, or None.
        centred: Whether the mean is subtracted.
    """

    unit: Tensor
    rsd: Tensor
    weight: Tensor | None
    centred: bool

    def by_head(self, heads: int) -> NormSlopes:
        """The derivatives of a norm of each head's vectors, (rows, heads, size)."""
        return self._replace(unit=self.unit.unflatten(0, (-1, heads)), rsd=self.rsd.unflatten(0, (-1, heads)))

    def cut(self, rows: slice) -> NormSlopes:
        """The derivatives at some of the rows."""
        return self._replace(unit=self.unit[rows], rsd=self.rsd[rows])

    def _through(self, at: Index, x: Tensor) -> Tensor:
        unit = select(self.unit, at)
        x = x - x.mean(-1, keepdim=True) if self.centred else x.clone()
        return x.addcmul_(unit, (unit * x).mean(-1, keepdim=True), value=-1)

    def jvp(self, at: Index, x: Tensor) -> Tensor:
        """Tangents of the outputs at rows from those of the inputs."""
        moved = self._through(at, x).mul_(select(self.rsd, at))
        return moved if self.weight is None else moved.mul_(self.weight)

    def vjp(self, at: Index, x: Tensor) -> Tensor:
        """Gradients of the inputs at rows from those of the outputs."""
        return self._through(at, x if self.weight is None else x * self.weight).mul_(select(self.rsd, at))


def jvp(slopes: NormSlopes | None, at: Index, x: Tensor) -> Tensor:
    """`NormSlopes.jvp`, or x itself where there is no norm."""
    return x if slopes is None else slopes.jvp(at, x)


def vjp(slopes: NormSlopes | None, at: Index, x: Tensor) -> Tensor:
    """`NormSlopes.vjp`, or x itself where there is no norm."""
    return x if slopes is None else slopes.vjp(at, x)
