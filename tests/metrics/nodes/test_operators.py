"""Metrics of nodes under every ablation operator."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from flowgauge.benchmark.conformance import check_metric, failed
from flowgauge.benchmark.store.key import metric_id
from flowgauge.core.errors import UsageError
from flowgauge.methods.explanation import Explanation
from flowgauge.metrics.nodes.ablated_accuracy import AblatedAccuracy
from flowgauge.metrics.nodes.retention_curve import DeletionCurve, RetentionCurve
from flowgauge.models.interventions.ablation import NO_DONOR

OPERATORS = ("zero", "mean", "resample", "mask", "cut")


@pytest.fixture(scope="module")
def model(make):
    return make.model(seed=1)


@pytest.fixture(scope="module")
def shown(make, model):
    """Two batches; the longest instance has no other of its length."""
    batches = [make.batch(model, [6, 5], seed=3), make.batch(model, [4, 5, 4, 7], seed=4)]
    made = [[Explanation(nodes=np.random.default_rng(n).random((4, n)), heads=np.random.default_rng(n).random((3, 4)))
             for n in batch.lengths] for batch in batches]  # fmt: skip
    return [make.by_hand(model, batch, explained) for batch, explained in zip(batches, made, strict=True)]


def test_the_longest_instance_cannot_be_resampled(model, shown):
    rows = RetentionCurve(steps=2, operator="resample").score(model, shown, None).rows
    longest = shown[1].batch.names[3]
    assert rows[rows["instance"] == longest]["value"].isna().all()
    assert set(rows[rows["instance"] == longest]["reason"]) == {NO_DONOR}
    assert rows[rows["instance"] != longest]["value"].notna().all()


@pytest.mark.parametrize("metric", [RetentionCurve(), DeletionCurve()])
def test_curves_take_their_operator(make, model, metric):
    """By what the models give, and zero is what it was; all tokens kept is the whole model under every operator."""
    batch = make.batch(model, [6] * 12, seed=2)
    ranking = [Explanation(nodes=np.random.default_rng(n).random((4, 6))) for n in range(12)]
    shown = [make.by_hand(model, batch, ranking)]
    found = {name: replace(metric, operator=name).score(model, shown, None).rows for name in OPERATORS}
    assert found["zero"].equals(metric.score(model, shown, None).rows)
    values = {name: tuple(rows["value"]) for name, rows in found.items()}
    assert len(set(values.values())) == len(OPERATORS)
    if isinstance(metric, RetentionCurve):
        ends = [rows[rows["variant"] == "budget/100"]["value"].tolist() for rows in found.values()]
        assert (
            ends == [(model.outputs(batch)[0].gather(1, torch.cat([batch.answer, batch.against], 1)).argmax(1) == 0).tolist()] * 5
        )


def test_ablated_accuracy_takes_its_operator(make, model):
    batch = make.batch(model, [6] * 8 + [5] * 4, seed=2)
    shown = make.by_method(model, batch, "influence-patterns:samples=4")
    found = {name: AblatedAccuracy(operator=name).score(model, [shown], [shown]).rows for name in OPERATORS}
    assert found["zero"].equals(AblatedAccuracy().score(model, [shown], [shown]).rows)
    assert len({tuple(rows["value"]) for rows in found.values()}) == len(OPERATORS)
    for rows in found.values():
        for variant in ("original", "chance", "nodes/embedding/matched"):
            assert rows[rows["variant"] == variant]["value"].equals(found["zero"][rows["variant"] == variant]["value"])


PROMISES = ("ablated_accuracy:operator=resample", *(f"retention_curve:steps=4,operator={name}" for name in OPERATORS[1:]))


@pytest.mark.parametrize("name", PROMISES)
def test_every_operator_keeps_the_promises_of_a_metric(tiny_flow, name):
    assert failed(check_metric(name, tiny_flow)) == []


def test_the_default_keeps_its_name_and_others_have_their_own() -> None:
    assert metric_id(AblatedAccuracy()) == "ablated_accuracy@1" and metric_id(RetentionCurve()) == "retention_curve@1"
    names = {metric_id(AblatedAccuracy(operator=name)) for name in OPERATORS}
    assert len(names) == len(OPERATORS)
    assert [AblatedAccuracy(operator=name).pools for name in OPERATORS] == [False, True, True, False, False]
    with pytest.raises(UsageError, match="operator must be zero, mean, resample, mask or cut, got 'nought'"):
        AblatedAccuracy(operator="nought")
