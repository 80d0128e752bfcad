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
"""Of the quadrature of the mean; 64 leave less than 1e-12 at log alpha from -15 to 15."""


@dataclass(frozen=True, eq=False)
class HardConcrete:
    """Gates z = clamp(low + (high - low) s, 0, 1) with s = sigmoid((log alpha + logit u) / temperature), u uniform in (0, 1).

    Louizos et al. 2018, section 3 (equations 10-12, where beta, gamma, zeta are temperature, low, high), with the settings of De
    Cao et al. 2020: as `high` is 1, there is an atom at 0 and none at 1. Below, t is in [0, 1).

        P(z <= t) = sigmoid(temperature * logit((t - low) / (high - low)) - log alpha)

    Attributes:
        log_alpha: Location of each gate; large: open.
        temperature: How sharp; 0 would be a coin.
        low: Lower end of the stretched interval, below 0.
        high: Its upper end, 1 or more.
    """

    log_alpha: Gates
    temperature: float = 0.2
    low: float = -0.2
    high: float = 1.0

    def __post_init__(self) -> None:
        given = (self.temperature, self.low, self.high)
        if self.temperature <= 0 or self.low >= 0 or self.high < 1:
            raise ValueError(f"a hard concrete gate needs temperature > 0, low < 0 and high >= 1, got {given}.")

    def sample(self, uniform: Gates) -> Gates:
        """z at given uniform numbers, differentiable in log alpha; numbers within 1e-6 of 0 and 1 are moved there."""
        concrete = torch.sigmoid((self.log_alpha + uniform.logit(1e-6)) / self.temperature)
        return (self.low + (self.high - self.low) * concrete).clamp(0, 1)

    def cdf(self, at: float) -> Gates:
        """P(z <= at), for 0 <= at < 1."""
        return torch.sigmoid(self._above(at) - self.log_alpha)

    def zero(self) -> Gates:
        """P(z = 0)."""
        return self.cdf(0.0)

    def one(self) -> Gates:
        """P(z = 1): 0 where `high` is 1."""
        return torch.sigmoid(self.log_alpha - self._above(1.0))

    def log_kept(self) -> Gates:
        """log P(z != 0), in [-inf, 0]; exact where P(z != 0) underflows."""
        return torch.nn.functional.logsigmoid(self.log_alpha - self._above(0.0))

    def kept(self) -> Gates:
        """P(z != 0)."""
        return torch.sigmoid(self.log_alpha - self._above(0.0))

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

    def _above(self, at: float) -> float:
        """temperature * logit of where `at` lies in the stretched interval; infinite at its upper end."""
        share = (at - self.low) / (self.high - self.low)
        return math.inf if share >= 1 else self.temperature * math.log(share / (1 - share))
