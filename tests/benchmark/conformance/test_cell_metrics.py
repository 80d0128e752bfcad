"""Promises of metrics that compare cells."""

from __future__ import annotations

import numpy as np
import pytest

from flowgauge.benchmark.conformance.cell_metrics import pair_findings
from flowgauge.core.errors import NotApplicable
from flowgauge.methods.explanation import Explanation
from flowgauge.metrics.scores import Aggregate
from flowgauge.tasks.instance import Instance

INSTANCES = [Instance(f"i{index}", ("a [MASK]",), ("b",), ("c",), condition="S") for index in range(4)]
GOLD = {instance.id: Explanation(tokens=np.arange(3.0) + index) for index, instance in enumerate(INSTANCES)}


class Compares:
    """Compares the means of the first tokens of two cells."""

    name, across, ranked = "compares", "tasks", "mean"
    bounds: tuple[float | None, float | None] = (None, None)

    def compare(self, first, second):
        mean = float(np.mean([e.tokens[0] for e in first.gold]) - np.mean([e.tokens[0] for e in second.gold]))
        return [Aggregate("mean", mean, mean, mean, 2)]


def broken(plugin) -> set[str]:
    findings, applied = pair_findings(plugin, INSTANCES, {"mine": GOLD}, 1e-9, [])
    assert applied == ["mine"]
    return {finding.check for finding in findings if not finding.ok}


def test_a_sound_metric_keeps_every_promise() -> None:
    assert broken(Compares()) == set()


def test_each_broken_promise_is_named() -> None:
    class Unranked(Compares):
        ranked = "median"

    class OutOfBounds(Compares):
        bounds = (0, 1)  # every second instance: 0 and 2 against 1 and 3, a difference of -1

    class Twice(Compares):
        def compare(self, first, second):
            return super().compare(first, second) * 2

    class Ordered(Compares):
        def compare(self, first, second):
            value = float(first.gold[0].tokens[0])
            return [Aggregate("mean", value, value, value, 2)]

    assert broken(Unranked()) == {"mine: the ranked variant is there"}
    assert broken(OutOfBounds()) == {"mine: values within the bounds"}
    assert broken(Twice()) == {"mine: aggregates of the right form"}
    assert broken(Ordered()) == {"mine: the same in any order"}


@pytest.mark.parametrize(("error", "ok"), [(NotApplicable("it needs heads"), True), (ValueError("no"), False)])
def test_a_metric_that_does_not_apply_keeps_its_promises_and_one_that_fails_does_not(error, ok) -> None:
    class Raises(Compares):
        def compare(self, first, second):
            raise error

    (finding,), applied = pair_findings(Raises(), INSTANCES, {"mine": GOLD}, 1e-9, [])
    assert finding.ok is ok and str(error) in finding.detail and applied == []
