"""Each promise of a metric is caught when it is broken, and by the check that states it."""

from __future__ import annotations

from types import ModuleType

import pytest
from tests.benchmark.conformance.conftest import broken

from flowgauge.benchmark.conformance import check_metric
from flowgauge.models.flow.flow_model import FlowModel

METRICS = {
    "unbounded": "values within the bounds, NaN with a reason",
    "half": "rows of the right form",
    "in_order": "the same in any order",
    "by_shown_batch": "the same in batches of one",
    "drifting": "the same a second time",
    "scribbles": "explanations unchanged",
    "unranked": "the ranked variant is there",
    "untyped": "rows of the right form",
}


def test_a_sound_metric_keeps_every_promise(plugins: ModuleType, model: FlowModel) -> None:
    findings = check_metric(plugins.sound_metric, model)
    assert broken(findings) == set()
    assert findings[-2].detail.startswith("applied to random explanations, influence-patterns")


@pytest.mark.parametrize(("name", "check"), METRICS.items(), ids=METRICS)
def test_a_metric_that_breaks_a_promise(name: str, check: str, plugins: ModuleType, model: FlowModel) -> None:
    assert f"random explanations: {check}" in broken(check_metric(getattr(plugins, name), model))
