"""Span heads: answers in characters to tokens, several right answers, padding at minus infinity, deletion that moves answers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from flowgauge.core.errors import NotApplicable
from flowgauge.methods.gradients.attattr import AttAttr
from flowgauge.methods.gradients.integrated_gradients import IntegratedGradients
from flowgauge.methods.noise.information_mask import Entropy, InformationMask
from flowgauge.methods.noise.noise_fitting import fit_chunks
from flowgauge.models.built.training import InMemorySession
from flowgauge.models.inputs.encode import encode
from flowgauge.models.outputs import value
from flowgauge.tasks.instance import Instance

CONTEXT = "the guard likes the tall chef"


def asked(name="i", context=CONTEXT, answer=(16, 29), **more):
    return Instance(name, ("the guard likes", context), answer, **more)


@pytest.fixture
def model(tiny_flows):
    return tiny_flows("bert", "span")


def test_attention_attribution_and_integrated_gradients_are_complete_over_both_ends(models, batches):
    model = models("bert", "span")
    batch = batches(model, [6, 4])
    start, end = (logits.softmax(1).gather(1, batch.answer[:, [h]])[:, 0] for h, logits in enumerate(model.outputs(batch)))
    p = start * end
    for row, one in enumerate(AttAttr("gauss-legendre", 48).explain(model, batch)):
        assert one.values["completeness_error"] < 1e-6
        assert one.values["probability"] == pytest.approx(float(p[row]), abs=1e-12)
        assert one.edges is not None
        assert (np.abs(one.edges[-1]).sum((0, 2)) > 0).all()  # every position of the last layer asks
    q = value(model.outputs(batch), batch)
    for row, one in enumerate(IntegratedGradients("gauss-legendre", 100).explain(model, batch)):
        change = float(q[row]) - one.values["q_baseline"]
        assert one.tokens is not None and one.nodes is not None
        for scores in (one.tokens, *one.nodes):
            assert scores.sum() == pytest.approx(change, rel=0.02, abs=0.02)


def test_information_masks_of_spans_are_not_divided_by_a_variance_of_positions(model):
    data = [encode(model, [asked(), asked("longer", CONTEXT + " " + CONTEXT)]), encode(model, [asked("short")])]
    with pytest.raises(NotApplicable, match=r"the outputs of a span head are positions, .* use divide=false"):
        InformationMask().fit(model, data, InMemorySession())
    method = InformationMask(divide=False, gamma=5.0, steps=20)
    assert method.fit(model, data, InMemorySession())["variance"].tolist() == [1, 1]
    chunk = next(chunk for _, chunk in fit_chunks(model, data[0]))
    loss = Entropy(chunk, torch.ones(2), 5.0).loss(torch.zeros(2, len(chunk.depths), chunk.batch.ids.shape[1]), chunk.clean)
    assert loss.isfinite()  # padding, at minus infinity before and after, does not change
    together = method.trained({"variance": torch.ones(2)}).explain(model, data[0])
    one = data[0].rows(torch.tensor([0]))
    (alone,) = method.trained({"variance": torch.ones(2)}).explain(model, one.only(one.attention_mask))
    np.testing.assert_allclose(together[0].tokens, alone.tokens, rtol=1e-4)
