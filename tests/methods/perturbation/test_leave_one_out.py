"""Leave-one-out against shorter sentences and single passes."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.methods.perturbation.conftest import FAMILIES

from flowgauge.methods.perturbation.leave_one_out import LeaveOneOut


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("head", ["masked", "label"])
def test_leave_one_out_by_deletion_is_the_shorter_sentence(models, batches, family, head):
    model = models(family, head)
    batch = batches(model, [6, 4])
    found = LeaveOneOut("delete").explain(model, batch)
    for row, n in enumerate(batch.lengths):
        gap, ids = int(batch.target[row]), batch.ids[row, :n]

        def q(ids, target):
            logits = model.hf(input_ids=ids[None], attention_mask=torch.ones_like(ids[None])).logits
            logits = logits[0, target] if model.head == "masked" else logits[0]
            return float(logits[batch.answer[row, 0]] - logits[batch.against[row, 0]])  # noqa: B023

        falls = [q(ids, gap) - q(torch.cat([ids[:j], ids[j + 1 :]]), gap - (j < gap)) if j != gap else 0.0 for j in range(n)]
        assert found[row].tokens == pytest.approx(np.array(falls), abs=1e-6)
        assert np.abs(falls).max() > 1e-3


def test_leave_one_out_in_many_passes(model, batches, monkeypatch):
    batch = batches(model, [6, 5, 4])
    whole = LeaveOneOut().explain(model, batch)
    monkeypatch.setattr("flowgauge.methods.perturbation.leave_one_out.ROWS", 4)
    for one, two in zip(whole, LeaveOneOut().explain(model, batch), strict=True):
        assert one.tokens == pytest.approx(two.tokens, abs=1e-12)
