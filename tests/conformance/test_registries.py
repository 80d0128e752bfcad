"""Every registered method, task and metric keeps the promises."""

from __future__ import annotations

import pytest

from flowgauge.benchmark.conformance import check_method, check_metric, check_task, failed, parametrize
from flowgauge.models.model import FlowModel


@parametrize("method")
@pytest.mark.parametrize("family", ["bert", "distilbert"])
def test_methods(plugin, family, tiny_flows) -> None:
    findings = check_method(plugin, tiny_flows(family))
    assert not failed(findings)
    assert len(findings) == 13


@parametrize("method")
def test_methods_on_the_embedded_model(plugin, agreement_model: FlowModel) -> None:
    assert not failed(check_method(plugin, agreement_model))


@parametrize("metric")
def test_metrics(plugin, tiny_flow) -> None:
    findings = check_metric(plugin, tiny_flow)
    assert not failed(findings)
    assert len(findings) > 12


@parametrize("task")
def test_tasks(plugin) -> None:
    findings = check_task(plugin)
    assert not failed(findings)
    assert len(findings) == 10
