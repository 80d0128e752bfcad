"""The model under masks: what is kept, and that runs are shared."""

from __future__ import annotations

import numpy as np
import pytest

from flowgauge.core.errors import NotApplicable
from flowgauge.methods.explanation import Explanation
from flowgauge.metrics.reduced_models.masks import masked_runs, masks


def test_masks_are_padded_with_1_and_hard_above_a_half(make, model):
    batch = make.batch(model, [5, 4])
    explanations = [Explanation(mask=np.full((5, n), p)) for n, p in zip(batch.lengths, (0.5, 0.6), strict=True)]
    assert masks(model, batch, explanations, "expected")[0].tolist() == [[0.5] * 5, [0.6] * 4 + [1.0]]
    assert masks(model, batch, explanations, "hard")[0].tolist() == [[0.0] * 5, [1.0] * 5]
    with pytest.raises(NotApplicable, match="the mask has 4 depths, and the model has 5"):
        masks(model, batch, [Explanation(mask=np.ones((4, n))) for n in batch.lengths], "hard")


def test_a_full_mask_runs_the_clean_model_and_zeros_do_not(make, model):
    batch = make.batch(model, [5, 4])
    full = make.by_hand(model, batch, [Explanation(mask=np.ones((5, n))) for n in batch.lengths])
    (run,) = masked_runs(model, full, "zero")
    assert run.divergence.shape == (2, 5, 2) and abs(run.divergence).max() < 1e-12
    assert (run.predicted == run.clean).all()
    assert masked_runs(model, full, "zero")[0] is run and masked_runs(model, full, "mask")[0] is not run
    none = make.by_hand(model, batch, [Explanation(mask=np.zeros((5, n))) for n in batch.lengths])
    assert masked_runs(model, none, "zero")[0].divergence.min() > 1e-6
