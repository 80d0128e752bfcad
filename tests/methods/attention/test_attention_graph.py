"""Properties that the methods on the attention graph share: padding, the order of heads, depths, residuals."""

from __future__ import annotations

import pytest
import torch
from tests.models.conftest import ENCODERS

from flowgauge.core.errors import UsageError
from flowgauge.methods.attention.attention_flow import AttentionFlow
from flowgauge.methods.attention.attention_paths import AttentionPaths
from flowgauge.methods.attention.attention_rollout import AttentionRollout
from flowgauge.methods.attention.raw_attention import RawAttention
from flowgauge.models.layers.post_norm import PostNorm

METHODS = [RawAttention(), AttentionRollout(), AttentionRollout(0.3, 2), AttentionFlow(), AttentionFlow(normalise=False)]


@pytest.mark.parametrize("family", ENCODERS)
@pytest.mark.parametrize("method", METHODS, ids=str)
def test_padding_changes_nothing(models, batches, single, family, method):
    for head in ("masked", "label"):
        model = models(family, head)
        batch = batches(model, [6, 4])
        together = method.explain(model, batch)
        for row in range(2):
            (alone,) = method.explain(model, single(batch, row))
            for view in method.gives:
                assert getattr(together[row], view) == pytest.approx(getattr(alone, view), abs=1e-8)


@pytest.mark.parametrize("method", METHODS[1:], ids=str)
def test_the_order_of_heads_is_nothing_to_rollout_and_flow(models, batches, method):
    model = models()
    before = method.explain(model, batches(model, [5]))[0]
    turn_heads(model.layers[1], [2, 0, 3, 1])
    after = method.explain(model, batches(model, [5]))[0]
    for view in method.gives:
        assert getattr(after, view) == pytest.approx(getattr(before, view), abs=1e-8)


def turn_heads(layer: PostNorm, order: list[int]) -> None:
    """The same layer with its heads in another order."""
    y = layer.attention
    rows = torch.arange(len(y.query.weight)).unflatten(0, (y.heads, -1))[order].flatten()
    with torch.no_grad():
        for part in (y.query, y.key, y.value):
            part.weight.copy_(part.weight[rows].clone())
            part.bias.copy_(part.bias[rows].clone())
        y.output.weight.copy_(y.output.weight[:, rows].clone())


@pytest.mark.parametrize("method", [AttentionRollout, AttentionFlow, RawAttention])
def test_depths_that_no_model_has_are_refused(model, batch, method):
    with pytest.raises(UsageError, match="depth must be above 0, got 0"):
        method(depth=0)
    with pytest.raises(UsageError, match="depth is 4, but 'tiny-bert' has 3 layers"):
        method(depth=4).explain(model, batch)


@pytest.mark.parametrize("method", [AttentionRollout, AttentionFlow, AttentionPaths])
def test_a_residual_is_a_share(method):
    with pytest.raises(UsageError, match=r"residual must be at most 1, got 1\.5"):
        method(residual=1.5)
