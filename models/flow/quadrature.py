"""Quadrature rules for the mean over a path from a baseline to the input."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from jaxtyping import Float

from ...core.errors import UsageError

Rule = Literal["midpoint", "paper", "trapezoid", "gauss-legendre"]


@dataclass(frozen=True, eq=False)
class Quadrature:
    """Nodes in [0, 1] along the path and their weights, which sum to 1."""

    nodes: Float[np.ndarray, " samples"]
    weights: Float[np.ndarray, " samples"]


LARGEST = 1_000_000
"""The most samples of a path; more would run for days and is taken for a typing error."""


def check_quadrature(rule: Rule, samples: int) -> None:
    """Refuses rules that do not exist and numbers of samples that a rule cannot use.

    Args:
        rule: A name of `Rule`.
        samples: Samples of the path; rules that use both ends need two.

    Raises:
        UsageError: No such rule, or too few or too many samples for it.
    """
    if rule not in get_args(Rule):
        raise UsageError(f"no quadrature rule is called {rule!r}; there are {', '.join(get_args(Rule))}.")
    least = 1 if rule in ("midpoint", "gauss-legendre") else 2
    if not least <= samples <= LARGEST:
        raise UsageError(f"the rule {rule!r} needs {least} to {LARGEST} samples, got {samples}.")


def quadrature(rule: Rule = "midpoint", samples: int = 50) -> Quadrature:
    """Nodes and weights of a rule for the mean over the path.

    `midpoint`: nodes (s + 1/2) / S, equal weights. `paper` (Lu et al. 2021): evenly spaced nodes with both ends, equal weights.
    `trapezoid`: the same nodes, half weight at the ends. `gauss-legendre`: exact for polynomials up to degree 2 S - 1.

    Args:
        rule: A name of `Rule`.
        samples: S, the number of nodes.

    Raises:
        UsageError: As `check_quadrature`.

    >>> quadrature("midpoint", 2).nodes.tolist()
    [0.25, 0.75]
    """
    check_quadrature(rule, samples)
    weights = np.full(samples, 1 / samples)
    if rule == "midpoint":
        return Quadrature((np.arange(samples) + 0.5) / samples, weights)
    if rule == "gauss-legendre":
        nodes, weights = np.polynomial.legendre.leggauss(samples)
        return Quadrature((nodes + 1) / 2, weights / 2)
    if rule == "trapezoid":
        weights = np.full(samples, 1 / (samples - 1))
        weights[[0, -1]] /= 2
    return Quadrature(np.linspace(0, 1, samples), weights)
