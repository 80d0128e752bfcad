"""What is done by hand is what the suite's own methods and metrics give."""

from __future__ import annotations

import numpy as np

from flowgauge.benchmark.engine.explain import explain_batch, prepare
from flowgauge.benchmark.speed.peers.captum_by_hand import METHODS, METRICS, by_hand
from flowgauge.methods.registry import METHODS as EVERY
from flowgauge.metrics.base import ExplainedBatch
from flowgauge.metrics.registry import METRICS as SCORERS
from flowgauge.models.inputs.encode import encode
from flowgauge.tasks.registry import load_task


def test_four_methods_and_two_metrics_agree_with_the_suite(agreement_model):
    task = load_task("sva/obj")
    instances = task.instances("test", 4, 0)
    prepared = prepare(agreement_model, encode(agreement_model, instances, task.quantity), instances)
    hand = by_hand(agreement_model, prepared.batch)
    assert all(sentence.correct for sentence in prepared.sentences), "the predicted answer is the gold one here"
    for spec in METHODS:
        method = EVERY.create(spec)
        part = explain_batch(agreement_model, method, prepared, 0)
        explained = ExplainedBatch(prepared.batch, prepared.predicted_batch, instances, part.gold, part.predicted, None)
        for place, name in enumerate(METRICS):
            rows = SCORERS.create(name).score(agreement_model, [explained], None).rows
            ours = rows[rows["variant"] == "aopc"].set_index("instance")["value"]
            theirs = [sentence[method.name][place] for sentence in hand]
            assert np.ptp(theirs) > 0
            np.testing.assert_allclose([ours[i.id] for i in instances], theirs, atol=2e-3, err_msg=f"{spec}, {name}")
