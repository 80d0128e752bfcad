"""The hard concrete distribution: gates in [0, 1] with an atom at 0 that can be trained by gradient."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

Gates = Float[Tensor, "*gates"]
NODES = 64
"""Nodes of the quadrature of the mean; with 64 its error is below 1e-12 for log alpha from -15 to 15."""


@dataclass(frozen=True, eq=False)
class HardConcrete:
    """Gates z = clamp(low + (high - low) s, 0, 1) with s = sigmoid((log alpha + logit u) / temperature), u uniform in (0, 1).

    Source: Louizos et al. 2018, section 3 (equations 10-12, where beta, gamma, zeta are temperature, low, high), with the
    settings of De Cao et al. 2020: as `high` is 1, there is an atom at 0 and none at 1. For t in [0, 1):

        P(z <= t) = sigmoid(temperature * logit((t - low) / (high - low)) - log alpha)

    Attributes:
        log_alpha: Location of each gate; gates with large values are open.
        temperature: Temperature of the distribution; towards 0 it becomes Bernoulli.
        low: Lower end of the stretched interval, below 0.
        high: Upper end of the stretched interval, 1 or more.
    """

    log_alpha: Gates
    temperature: float = 0.2
    low: float = -0.2
    high: float = 1.0

    def __post_init__(self) -> None:
        if self.temperature <= 0 or self.low >= 0 or self.high < 1:
            raise ValueError(
                "a hard concrete gate needs temperature > 0, low < 0 and high >= 1, "
                f"got {(self.temperature, self.low, self.high)}."
            )

    def sample(self, uniform: Gates) -> Gates:
        """Gates z at given uniform numbers, differentiable in log alpha; the numbers are clamped to [1e-6, 1 - 1e-6]."""
        concrete = torch.sigmoid((self.log_alpha + uniform.logit(1e-6)) / self.temperature)
        return (self.low + (self.high - self.low) * concrete).clamp(0, 1)

    def cdf(self, t: float) -> Gates:
        """P(z <= t), for 0 <= t < 1.

        >>> HardConcrete(torch.zeros(1)).cdf(0.4)
        tensor([0.5000])
        """
        return torch.sigmoid(self._threshold(t) - self.log_alpha)

    def zero(self) -> Gates:
        """P(z = 0) of every gate."""
        return self.cdf(0.0)

    def one(self) -> Gates:
        """P(z = 1) of every gate: 0 if `high` is 1."""
        return torch.sigmoid(self.log_alpha - self._threshold(1.0))

    def log_kept(self) -> Gates:
        """log P(z != 0) of every gate, in [-inf, 0]; exact where P(z != 0) underflows."""
        return torch.nn.functional.logsigmoid(self.log_alpha - self._threshold(0.0))

    def kept(self) -> Gates:
        """P(z != 0) of every gate."""
        return torch.sigmoid(self.log_alpha - self._threshold(0.0))

    def mean(self) -> Gates:
        """E[z] = integral of P(z > t) over t in [0, 1].

        With x = (t - low) / (high - low) = 1 - w^(1 / temperature) the integrand is smooth in w, also at t = 1, so that
        Gauss-Legendre nodes in w integrate it.
        """
        span = self.high - self.low
        ends = [(1 - (t - self.low) / span) ** self.temperature for t in (1.0, 0.0)]
        nodes, weights = np.polynomial.legendre.leggauss(NODES)
        w = (ends[1] - ends[0]) / 2 * (nodes + 1) + ends[0]
        odds = w / (1 - w ** (1 / self.temperature)) ** self.temperature
        slope = weights * (ends[1] - ends[0]) / 2 * span / self.temperature * w ** (1 / self.temperature - 1)
        logs, weight = (torch.from_numpy(x).to(self.log_alpha) for x in (np.log(odds), slope))
        return torch.sigmoid(self.log_alpha[..., None] + logs) @ weight

    def _threshold(self, t: float) -> float:
        """temperature * logit of the position of t in the stretched interval; infinite at the upper end."""
        share = (t - self.low) / (self.high - self.low)
        return math.inf if share >= 1 else self.temperature * math.log(share / (1 - share))
