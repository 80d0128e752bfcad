"""Head importance to first order against the derivative of a gate."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.methods.gradients.conftest import FAMILIES, start

from flowgauge.methods.gradients.context_gradients import objective
from flowgauge.methods.gradients.gradient_x_attention import GradientXAttention
from flowgauge.methods.gradients.head_taylor import HeadTaylor
from flowgauge.models.batch import Rows


def gated(model, batch, name):
    """F as a function of one gate a head, written with edits: what head-taylor differentiates."""

    def scalar(gates):
        edits = {"context": lambda layer, context: context * gates[layer][:, None]}
        (trace,) = model.run(Rows(batch, start(model, batch), edits=edits))
        return objective(model.readout(trace.site("hidden", model.n_layers), batch), batch, name).sum()

    return scalar


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", ["loss", "quantity", "logit_sum"])
def test_head_taylor_is_the_derivative_of_a_gate(models, batches, single, family, name):
    model = models(family)
    batch = batches(model, [6, 4])
    for row, found in enumerate(HeadTaylor(name).explain(model, batch)):
        gates = torch.ones(3, 4, dtype=torch.float64)
        expected = torch.autograd.functional.jacobian(gated(model, single(batch, row), name), gates).abs().numpy()
        assert found.heads == pytest.approx(expected, rel=1e-9, abs=1e-13)


def test_taylor_sums_what_gradient_x_attention_has(model, batch):
    taylor, edges = HeadTaylor("quantity").explain(model, batch), GradientXAttention().explain(model, batch)
    tokens = HeadTaylor("quantity", absolute="token").explain(model, batch)
    for one, two, three in zip(taylor, edges, tokens, strict=True):
        assert one.heads == pytest.approx(abs(two.edges.sum((2, 3))), rel=1e-10)
        assert three.heads == pytest.approx(abs(two.edges.sum(3)).sum(2), rel=1e-10)
        assert (three.heads >= one.heads - 1e-12).all() and (three.heads > one.heads + 1e-9).any()


def test_normalised_layers_have_norm_one_and_keep_their_order(model, batch):
    for plain, scaled in zip(HeadTaylor().explain(model, batch), HeadTaylor(normalise=True).explain(model, batch), strict=True):
        assert np.linalg.norm(scaled.heads, axis=1) == pytest.approx(np.ones(3))
        assert np.linalg.norm(plain.heads, axis=1) != pytest.approx(np.ones(3))
        assert (plain.heads.argsort(1) == scaled.heads.argsort(1)).all()
