"""Linear maps as models store them: modules of their own, transposed, or several in one matrix."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import linear


@runtime_checkable
class Linear(Protocol):
    """x W^T + b, as `torch.nn.Linear` computes it."""

    @property
    def weight(self) -> Tensor:
        """W (out, in)."""
        ...

    @property
    def bias(self) -> Tensor | None:
        """b (out,), or None."""
        ...

    def __call__(self, x: Tensor) -> Tensor: ...


@dataclass(frozen=True, eq=False)
class LinearPart:
    """Some of the outputs of a linear module, read from its weights at every call, so that moving the model moves it too.

    Attributes:
        module: A module with `weight` and `bias`.
        pick: The part of the first axis, which is that of outputs; of a weight (out, in) and of a bias (out,).
        transposed: Whether the module stores (in, out), as GPT-2's `Conv1D` does.
    """

    module: Any
    pick: Callable[[Tensor], Tensor] = lambda whole: whole
    transposed: bool = False

    @property
    def weight(self) -> Float[Tensor, "out into"]:
        """W (out, in)."""
        whole = self.module.weight
        return self.pick(whole.T if self.transposed else whole)

    @property
    def bias(self) -> Float[Tensor, " out"] | None:
        """b (out,), or None."""
        return None if self.module.bias is None else self.pick(self.module.bias)

    def __call__(self, x: Float[Tensor, "*rows into"]) -> Float[Tensor, "*rows out"]:
        return linear(x, self.weight, self.bias)


def thirds(module: Any, transposed: bool = False) -> tuple[LinearPart, LinearPart, LinearPart]:
    """Query, key and value maps from one module whose outputs are all queries, then all keys, then all values."""
    return tuple(LinearPart(module, lambda whole, n=n: whole.chunk(3)[n], transposed) for n in range(3))  # type: ignore[misc,return-value]


def interleaved_thirds(module: Any, heads: int) -> tuple[LinearPart, LinearPart, LinearPart]:
    """Query, key and value maps from one module whose outputs are, head by head, a query, a key and a value."""
    part = lambda n: lambda whole: whole.unflatten(0, (heads, 3, -1))[:, n].flatten(0, 1)  # noqa: E731
    return tuple(LinearPart(module, part(n)) for n in range(3))  # type: ignore[return-value]
