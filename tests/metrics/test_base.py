"""Explained batches."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from flowgauge.methods.explanation import Explanation


def test_an_explained_batch_has_one_explanation_an_instance(make, model, batch):
    explained = make.by_hand(model, batch, [Explanation(tokens=np.ones(n)) for n in batch.lengths])
    assert len(explained.gold) == len(explained.predicted) == len(batch) == 4
    with pytest.raises(ValueError, match=r"one explanation an instance, got sizes \[3, 4\]"):
        replace(explained, gold=explained.gold[:3])
