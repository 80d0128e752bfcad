"""The probes of DiffMask: one small network for each depth that computes the location of the gate of each state."""

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
"""Value of log alpha before training, at which P(keep) is .995; a training that starts with closed gates cannot open them."""
BOUND = 10.0
"""Largest distance of log alpha from c with bounded gates."""


@dataclass(frozen=True)
class Probes:
    """log alpha = 10 tanh(w2 . tanh(W1 x + b1)) + c (`bounded`), or w2 . tanh(W1 x + b1) + c (`plain`); c starts at 5.

    Source: the code of De Cao et al. 2020; rows of W1 and w2 are weight-normalised, g v / |v| (Salimans & Kingma 2016). The bound
    keeps log alpha in (c - 10, c + 10), because the penalty log P(z != 0) has no lower bound.

    Attributes:
        kind: `bounded` or `plain`.
    """

    kind: Kind = "bounded"

    def start(self, inputs: list[int], hidden: int, generator: torch.Generator, like: Tensor) -> dict[str, Tensor]:
        """Draws the parameters of one probe for each depth, from the distribution of `torch.nn.Linear`.

        Args:
            inputs: Width of the input at each depth.
            hidden: Width of the inner layer.
            generator: Generator on the CPU.
            like: Tensor whose type and device the parameters get.

        Returns:
            The parameters by name, `probe.<depth>.<part>`.
        """
        parameters = {}
        for depth, size in enumerate(inputs):
            drawn = {"inner": (hidden, size), "bias": (hidden,), "outer": (1, hidden)}
            for name, shape in drawn.items():
                edge = 1 / math.sqrt(shape[-1] if name != "bias" else size)
                parameters[f"{depth}.{name}"] = (torch.rand(shape, generator=generator) * 2 - 1) * edge
            for name in ("inner", "outer"):
                parameters[f"{depth}.{name}.size"] = parameters[f"{depth}.{name}"].norm(dim=1, keepdim=True)
            parameters[f"{depth}.open"] = torch.full((), OPEN)
        return {f"probe.{name}": value.to(like) for name, value in parameters.items()}

    def shapes(self, inputs: list[int], hidden: int) -> dict[str, tuple[int, ...]]:
        """The shape of every parameter of `start`, for the same widths."""
        rest = {"inner.size": (hidden, 1), "bias": (hidden,), "outer": (1, hidden), "outer.size": (1, 1), "open": ()}
        return {
            f"probe.{depth}.{name}": shape
            for depth, size in enumerate(inputs)
            for name, shape in {"inner": (hidden, size), **rest}.items()
        }

    def log_alpha(
        self, parameters: Mapping[str, Tensor], depth: int, states: Float[Tensor, "rows tokens inputs"]
    ) -> Float[Tensor, "rows tokens"]:
        """log alpha of every state at a depth.

        Args:
            parameters: Parameters of the probes.
            depth: The depth.
            states: Inputs of the probe.
        """
        probe = {name: parameters[f"probe.{depth}.{name}"] for name in _NAMES}
        inner = torch.tanh(linear(states, _normed(probe, "inner"), probe["bias"]))
        outer = linear(inner, _normed(probe, "outer"))[..., 0]
        return probe["open"] + (BOUND * torch.tanh(outer) if self.kind == "bounded" else outer)


_NAMES = ("inner", "inner.size", "bias", "outer", "outer.size", "open")


def _normed(probe: Mapping[str, Tensor], name: str) -> Tensor:
    """Weights g v / |v|, row by row."""
    return probe[f"{name}.size"] * probe[name] / probe[name].norm(dim=1, keepdim=True)
