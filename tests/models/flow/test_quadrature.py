"""Quadrature rules integrate polynomials of their degree exactly."""

from __future__ import annotations

import pytest

from flowgauge.core.errors import UsageError
from flowgauge.models.flow.quadrature import quadrature


def test_rules_integrate_what_they_should():
    for rule, samples, degree in (("midpoint", 4, 1), ("trapezoid", 5, 1), ("gauss-legendre", 3, 5)):
        q = quadrature(rule, samples)
        for power in range(degree + 1):
            assert (q.weights * q.nodes**power).sum() == pytest.approx(1 / (power + 1))
    paper = quadrature("paper", 3)
    assert paper.nodes.tolist() == [0, 0.5, 1] and paper.weights.tolist() == pytest.approx([1 / 3] * 3)
    with pytest.raises(UsageError, match="no quadrature rule is called 'simpson'"):
        quadrature("simpson")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="needs 2 to 1000000 samples, got 1"):
        quadrature("paper", 1)
