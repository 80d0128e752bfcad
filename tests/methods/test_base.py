"""The other methods, against captum and by hand."""

from __future__ import annotations

import pytest
import torch

from flowgauge.core.errors import UsageError
from flowgauge.methods.base import explanations, method


def test_explanations_trim_padding_and_refuse_wrong_shapes(batch):
    made = explanations(batch, tokens=torch.arange(18.0).reshape(3, 6), flows=torch.zeros(3, 6, 4, 6))
    assert made[2].tokens.tolist() == [12, 13, 14, 15] and made[2].flows.shape == (4, 4, 4)
    with pytest.raises(ValueError, match=r"'tokens' has shape \(3, 5\); expected one row for each of 3 instances with 6 tokens"):
        explanations(batch, tokens=torch.zeros(3, 5))
    with pytest.raises(ValueError, match="no view is called 'saliency'"):
        explanations(batch, saliency=torch.zeros(3, 6))


def test_a_plain_function_is_a_method(model, batch):
    @method("mine", gives={"tokens"})
    def mine(model, batch, scale=2.0):
        """Position times scale."""
        return explanations(batch, tokens=torch.arange(6.0).expand(3, -1) * scale)

    assert mine.name == "mine" and mine.flowgauge_kind == "method"
    assert mine(scale=3.0).explain(model, batch)[1].tokens.tolist() == [0, 3, 6, 9, 12]
    assert mine().options == {"scale": 2.0}
    with pytest.raises(UsageError, match="names the view 'token'"):
        method("x", gives={"token"})
    with pytest.raises(UsageError, match=r"method 'x' declares needs='layered'.*declare 'transformer'"):
        method("x", gives={"tokens"}, needs={"layered"})
