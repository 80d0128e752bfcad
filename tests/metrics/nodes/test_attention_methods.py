"""Attention and head methods under the ablation metrics: a number, or the reason why there is none."""

from __future__ import annotations

import pytest

from flowgauge.core.errors import NotApplicable
from flowgauge.metrics.nodes.ablated_accuracy import RANKED, AblatedAccuracy
from flowgauge.metrics.nodes.retention_curve import DeletionCurve, RetentionCurve

NODES = ["raw-attention", "attention-rollout", "attention-flow", "gradient-x-attention"]
HEADS = ["head-taylor", "head-accuracy-difference"]


@pytest.fixture
def reference(make, model, batch):
    return make.by_method(model, batch, "influence-patterns")


@pytest.mark.parametrize("name", NODES)
def test_methods_that_rank_nodes_are_scored(make, model, batch, reference, value_of, name):
    shown = make.by_method(model, batch, name)
    for metric, variants in (
        (AblatedAccuracy(), (RANKED, "embedding/own/predicted")),
        (RetentionCurve(steps=4), ("auc",)),
        (DeletionCurve(steps=4), ("auc",)),
    ):
        scores = metric.score(model, [shown], [reference])
        for variant in variants:
            values = scores.rows[scores.rows["variant"] == variant]["value"]
            assert len(values) == len(batch) and values.between(0, 1).all()
    assert value_of(scores, "budget/100") == 0.5  # nothing is left: one constant, and the answers alternate


@pytest.mark.parametrize("name", HEADS)
def test_methods_that_rank_heads_alone_say_so(make, model, batch, reference, value_of, name):
    shown = make.by_method(model, batch, name)
    reason = "the method gives heads, from which nodes cannot be ranked"
    with pytest.raises(NotApplicable, match=reason):
        AblatedAccuracy().score(model, [shown], [reference])
    for metric in (RetentionCurve(steps=4), DeletionCurve(steps=4)):
        scores = metric.score(model, [shown], None)
        nodes = scores.rows[scores.rows["variant"] == "auc"]
        assert nodes["value"].isna().all() and nodes["reason"].str.startswith(reason).all()
        assert 0 <= value_of(scores, "heads/auc") <= 1


@pytest.mark.parametrize("name", NODES)
def test_no_attention_level_is_a_reason_not_a_number(make, model, batch, reference, name):
    rows = AblatedAccuracy().score(model, [make.by_method(model, batch, name)], [reference]).rows
    rows = rows[rows["variant"] == "attention/matched/predicted"]
    assert rows["value"].isna().all() and rows["reason"].str.contains("read from units or patterns with heads").all()
