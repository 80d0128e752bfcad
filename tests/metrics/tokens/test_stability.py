"""Stability over seeds, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from flowgauge.core.errors import NotApplicable
from flowgauge.methods.explanation import Explanation
from flowgauge.metrics.scores import ExplainedCell
from flowgauge.metrics.tokens.stability import Stability


def cell(names: str, *scores: list[float], view: str = "mask") -> ExplainedCell:
    shape = (lambda s: np.array([s])) if view == "mask" else np.array
    return ExplainedCell(tuple(names), ("c",) * len(names), [Explanation(**{view: shape(s)}) for s in scores])


def test_stability_is_the_mean_standard_deviation_over_seeds() -> None:
    cells = [
        cell("ab", [0.0, 1.0], [0.5, 0.2, 0.2]),
        cell("ba", [0.5, 0.4, 0.2], [0.0, 0.5]),
        cell("ab", [0.3, 0.0], [0.5, 0.0, 0.2]),
    ]
    a = np.array([[0.0, 1.0], [0.0, 0.5], [0.3, 0.0]])
    b = np.array([[0.5, 0.2, 0.2], [0.5, 0.4, 0.2], [0.5, 0.0, 0.2]])
    sd, relative = Stability().compare(*cells)
    spreads = [x.std(0, ddof=1).mean() for x in (a, b)]
    assert sd.value == pytest.approx(np.mean(spreads))
    assert relative.value == pytest.approx(np.mean([s / x.mean(0).std() for s, x in zip(spreads, (a, b), strict=True)]))
    assert (sd.variant, sd.count, relative.variant) == ("sd", 2, "relative")


def test_stability_of_what_has_no_spread_and_of_other_instances() -> None:
    same = [cell("ab", [0.5, 0.5], [0.1] * 7) for _ in range(3)]  # numpy has 1e-17 for the sd of seven times .1
    sd, relative = Stability().compare(*same)
    assert sd.value < 1e-16 and np.isnan(relative.value) and relative.undefined == 2 and "are the same" in relative.reason
    with pytest.raises(NotApplicable, match="different instances"):
        Stability().compare(same[0], cell("ac", [0.5, 0.5], [0.1] * 7))
    tokens = [cell("a", [0.0, 1.0], view="tokens"), cell("a", [1.0, 1.0], view="tokens")]
    assert Stability().compare(*tokens)[0].value == pytest.approx(np.std([0, 1], ddof=1) / 2)
