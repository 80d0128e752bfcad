"""Objectives, padding and settings of the methods that differentiate at context vectors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.methods.gradients.conftest import FAMILIES

from flowgauge.core.errors import UsageError
from flowgauge.methods.gradients.context_gradients import objective
from flowgauge.methods.gradients.gradient_x_attention import GradientXAttention
from flowgauge.methods.gradients.head_taylor import HeadTaylor
from flowgauge.methods.perturbation.head_accuracy_difference import head_accuracy_difference
from flowgauge.models.outputs import value
from flowgauge.tasks.instance import Quantity


def test_objectives_by_hand(batch):
    logits = torch.zeros(3, 60, dtype=torch.float64)
    logits[:, 7], logits[:, 8] = torch.log(torch.tensor([3.0, 1.0, 0.5], dtype=torch.float64)), 2.0
    total = 58 + torch.tensor([3.0, 1.0, 0.5], dtype=torch.float64) + np.e**2
    probability = torch.tensor([3.0, 1.0, 0.5], dtype=torch.float64) / total
    asked = replace(batch, quantity=Quantity("logit"), cache={})
    assert torch.allclose(objective((logits,), asked, "quantity"), logits[:, 7])
    assert torch.allclose(objective((logits,), asked, "probability"), probability)
    assert torch.allclose(objective((logits,), asked, "loss"), -probability.log())
    assert torch.allclose(objective((logits,), asked, "logit_sum"), logits[:, 7] + 2)
    assert torch.allclose(value((logits,), batch), logits[:, 7] - 2)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("make", [GradientXAttention, HeadTaylor, head_accuracy_difference], ids=lambda m: m.name)
def test_padding_changes_nothing(models, batches, single, family, make):
    for head in ("masked", "label"):
        model, method = models(family, head), make()
        batch = batches(model, [6, 4])
        together = method.explain(model, batch)
        for row in range(2):
            (alone,) = method.explain(model, single(batch, row))
            for view in method.gives:
                assert getattr(together[row], view) == pytest.approx(getattr(alone, view), rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    ("method", "settings", "message"),
    [
        (GradientXAttention, {"output": "loss"}, "output must be quantity or probability, got 'loss'"),
        (HeadTaylor, {"objective": "probability"}, "objective must be loss, quantity or logit_sum, got"),
        (HeadTaylor, {"absolute": "none"}, "absolute must be head or token, got 'none'"),
    ],
)
def test_settings_that_do_not_exist_are_refused(method, settings, message):
    with pytest.raises(UsageError, match=message):
        method(**settings)
