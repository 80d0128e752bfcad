"""The probes of DiffMask: one small network a depth that says how open the gate of each state is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import linear

Kind = Literal["bounded", "plain"]
OPEN = 5.0
"""Where log alpha starts: P(keep) is .995. Training from shut gates finds no way up."""
BOUND = 10.0


@dataclass(frozen=True)
class Probes:
    """log alpha = 10 tanh(w2 . tanh(W1 x + b1)) + c (`bounded`), or w2 . tanh(W1 x + b1) + c (`plain`); c starts at 5.

    As in the code of De Cao et al. 2020; rows of W1 and w2 are weight-normalised, g v / |v| (Salimans & Kingma 2016). The bound
    keeps log alpha in (c - 10, c + 10): the penalty log P(z != 0) has none of its own.

    Attributes:
        kind: Which of the two.
    """

    kind: Kind = "bounded"

    def start(self, inputs: list[int], hidden: int, generator: torch.Generator, like: Tensor) -> dict[str, Tensor]:
        """Parameters of one probe a depth, drawn as `torch.nn.Linear` draws.

        Args:
            inputs: Size of the input at each depth.
            hidden: Size of the layer between.
            generator: On the CPU.
            like: Type and device.
        """
        made = {}
        for depth, size in enumerate(inputs):
            drawn = {"inner": (hidden, size), "bias": (hidden,), "outer": (1, hidden)}
            for name, shape in drawn.items():
                edge = 1 / math.sqrt(shape[-1] if name != "bias" else size)
                made[f"{depth}.{name}"] = (torch.rand(shape, generator=generator) * 2 - 1) * edge
            for name in ("inner", "outer"):
                made[f"{depth}.{name}.size"] = made[f"{depth}.{name}"].norm(dim=1, keepdim=True)
            made[f"{depth}.open"] = torch.full((), OPEN)
        return {f"probe.{name}": value.to(like) for name, value in made.items()}

    def shapes(self, inputs: list[int], hidden: int) -> dict[str, tuple[int, ...]]:
        """The shape of every parameter that `start` makes."""
        one = {"inner.size": (hidden, 1), "bias": (hidden,), "outer": (1, hidden), "outer.size": (1, 1), "open": ()}
        return {
            f"probe.{depth}.{name}": shape
            for depth, size in enumerate(inputs)
            for name, shape in {"inner": (hidden, size), **one}.items()
        }

    def log_alpha(
        self, parameters: Mapping[str, Tensor], depth: int, states: Float[Tensor, "rows tokens inputs"]
    ) -> Float[Tensor, "rows tokens"]:
        """log alpha of every state at a depth."""
        one = {name: parameters[f"probe.{depth}.{name}"] for name in _NAMES}
        inner = torch.tanh(linear(states, _normed(one, "inner"), one["bias"]))
        found = linear(inner, _normed(one, "outer"))[..., 0]
        return one["open"] + (BOUND * torch.tanh(found) if self.kind == "bounded" else found)


_NAMES = ("inner", "inner.size", "bias", "outer", "outer.size", "open")


def _normed(one: Mapping[str, Tensor], name: str) -> Tensor:
    return one[f"{name}.size"] * one[name] / one[name].norm(dim=1, keepdim=True)
