"""The accuracy difference against the literal removal of a head."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.methods.gradients.conftest import FAMILIES, start

from flowgauge.methods.perturbation.head_accuracy_difference import head_accuracy_difference
from flowgauge.models.batch import Rows
from flowgauge.models.outputs import correct


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("head", ["masked", "label"])
def test_accuracy_difference_is_the_literal_removal(models, batches, family, head, monkeypatch):
    """Every head of every layer through the whole network; in one chunk and in many."""
    monkeypatch.setattr("flowgauge.methods.perturbation.head_accuracy_difference.ROWS", 40 if family == "bert" else 512)
    model = models(family, head, seed=2)
    batch = undecided(model, batches(model, [6] * 12 + [4] * 12))
    (clean,) = model.run(Rows(batch, start(model, batch)))
    right = correct(model.readout(clean.site("hidden", 3), batch), batch)
    found = np.stack([e.heads for e in head_accuracy_difference().explain(model, batch)])
    for layer, number in np.ndindex(3, 4):

        def zeroed(at, context, layer=layer, number=number):
            keep = torch.arange(4) != number
            return context * keep[:, None] if at == layer else context

        (trace,) = model.run(Rows(batch, start(model, batch), edits={"context": zeroed}))
        without = correct(model.readout(trace.site("hidden", 3), batch), batch)
        assert found[:, layer, number].tolist() == (right.double() - without.double()).tolist()
    assert {-1.0, 0.0, 1.0} == set(np.unique(found))  # both signs are tested
    drop = right.double().mean() - (right.double() - torch.from_numpy(found[:, 0, 0])).mean()
    assert found[:, 0, 0].mean() == pytest.approx(float(drop))


def undecided(model, batch):
    """The batch with each row's two closest outputs as answer and against, every second time in the wrong order."""
    ranked = model.outputs(batch)[0].sort(1, descending=True)
    closest = (ranked.values[:, :-1] - ranked.values[:, 1:]).argmin(1)
    pair = torch.stack([ranked.indices[torch.arange(len(batch)), closest + k] for k in (0, 1)], 1)
    pair[::2] = pair[::2].flip(1)
    return replace(batch, answer=pair[:, :1], against=pair[:, 1:], cache={})
