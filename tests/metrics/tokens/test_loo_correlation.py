"""Agreement with leaving words out, by hand."""

from __future__ import annotations

import pytest
from tests.metrics.tokens.conftest import tokens

from flowgauge.methods.perturbation.leave_one_out import LeaveOneOut
from flowgauge.metrics.tokens.loo_correlation import LooCorrelation


def test_loo_correlation(model, make, value_of):
    batch = make.batch(model, [6, 5])
    shown = make.by_hand(model, batch, tokens([0] * 6, [0] * 5))
    left_out = [e.tokens for e in LeaveOneOut().explain(model, shown.predicted_batch)]
    for scale, signed, absolute in ((1.0, 1.0, 1.0), (-2.0, -1.0, 1.0)):
        scores = LooCorrelation().score(model, [make.by_hand(model, batch, tokens(*(scale * t for t in left_out)))], None)
        assert value_of(scores, "signed") == pytest.approx(signed) and value_of(scores, "absolute") == pytest.approx(absolute)
    flat = LooCorrelation().score(model, [shown], None).rows
    assert flat["value"].isna().all() and set(flat["reason"]) == {"the token scores are all the same."}
