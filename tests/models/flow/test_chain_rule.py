"""The chain rule along patterns: edges, transposes and skips, against whole-layer derivatives."""

from __future__ import annotations

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch.func import jvp

from flowgauge.models.batch import Batch
from flowgauge.models.flow.chain_rule import (
    context_pull,
    context_tangents,
    edge_scores,
    layer_flow,
    layer_tangent,
    project,
)
from flowgauge.models.flow.flow_model import FlowModel
from flowgauge.models.flow.graph import SKIP
from flowgauge.models.flow.pattern_influence import pattern_influence
from flowgauge.models.flow.trace import PathTrace, path_trace
from flowgauge.models.layers.attention import mix
from flowgauge.models.layers.base import Projected

TOLERANCE = 1e-9
FAMILIES = ["bert", "gpt2", "gpt_neox", "mistral", "qwen3", "gemma2", "albert", "deberta-v2", "modernbert", "mpnet"]


@pytest.fixture
def trace(model: FlowModel, batch: Batch) -> PathTrace:
    return path_trace(model, batch, samples=6)


@pytest.mark.parametrize("family", FAMILIES)
@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    lengths=st.lists(st.integers(3, 6), min_size=1, max_size=3),
    seed=st.integers(0, 1000),
    layer=st.integers(0, 2),
    data=st.data(),
)
def test_edge_scores_equal_the_jvp_of_the_whole_layer_and_split_into_heads_and_skip(
    models, batches, family, lengths, seed, layer, data
):
    model = models(family)
    batch = batches(model, lengths, seed)
    trace = path_trace(model, batch, samples=3, baseline="zero")
    source = torch.tensor([[data.draw(st.integers(0, n - 1))] for n in lengths])
    n = max(lengths)
    tangent = torch.randn(len(trace.start), 1, 16, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    moved = project(trace, layer, source[..., None], tangent[:, :, None])
    scores = edge_scores(trace, layer, source, tangent, Projected(*(x.flatten(1, 2) for x in moved)))
    spread = source.repeat_interleave(3, 0)
    dense = torch.zeros(len(tangent), n, 16, dtype=torch.float64).scatter(1, spread[..., None].expand(-1, 1, 16), tangent)
    for head in [*range(4), SKIP]:
        expected = trace.mean((whole_layer(trace, layer, dense, head) * trace.grad_hidden[layer + 1]).sum(-1))
        if head == SKIP:
            found = torch.zeros(len(batch), n, dtype=torch.float64).scatter(1, source, scores.skip)
        else:
            found = scores.heads[:, head, :, 0]
        assert torch.allclose(found * batch.attention_mask, expected * batch.attention_mask, atol=TOLERANCE)
    total = trace.mean((whole_layer(trace, layer, dense) * trace.grad_hidden[layer + 1]).sum(-1))
    split = scores.heads[..., 0].sum(1).scatter_add(1, source, scores.skip)
    assert torch.allclose(split * batch.attention_mask, total * batch.attention_mask, atol=TOLERANCE)
    sent = layer_flow(trace, layer, dense)
    assert torch.allclose(sent.influence * batch.attention_mask, total * batch.attention_mask, atol=TOLERANCE)
    assert torch.allclose(
        layer_tangent(trace, layer, dense, sent) * trace.rows.attention_mask[..., None],
        whole_layer(trace, layer, dense) * trace.rows.attention_mask[..., None],
        atol=TOLERANCE,
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_context_pull_is_the_transpose_of_context_tangents(models, batches, family):
    model = models(family)
    trace = path_trace(model, batches(model, [6, 5, 4]), samples=6, baseline="zero")
    generator = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, dtype=torch.float64, generator=generator)  # noqa: E731
    source, to = torch.randint(0, 4, (3, 5, 2), generator=generator), torch.randint(0, 4, (3, 5, 3), generator=generator)
    rows = len(trace.start)
    size = trace.context[1].shape[-1]
    moved, grad = Projected(*(draw(rows, 5, 2, 4, size) for _ in range(3))), draw(rows, 5, 3, 4, size)
    forward = (context_tangents(trace, 1, source, to, moved).sum(3) * grad).sum((2, 3, 4))
    pulled = context_pull(trace, 1, source, to, grad)
    backward = sum((a * b).sum((2, 3, 4)) for a, b in zip(pulled, moved, strict=True))
    assert torch.allclose(forward, backward, atol=TOLERANCE)


def test_a_skip_between_different_positions_carries_nothing(trace):
    assert float(pattern_influence(trace, 0, torch.tensor([[0, 1, 2, 2]]), torch.tensor([[SKIP, 0, 0]]))) == 0


def whole_layer(trace: PathTrace, layer: int, tangent: torch.Tensor, head: int | None = None) -> torch.Tensor:
    """JVP of a whole layer by torch.func; with `head`, only what passes that head (SKIP: the residual)."""
    y = trace.model.layers[layer]
    attention, mask = y.attention, y.attention.mask(trace.rows.attention_mask)

    def attend(h):
        q, k, v = y.project(h, trace.rows.positions)
        return mix(attention.weights(q, attention.shared(k), mask), attention.shared(v))

    context, moved = jvp(attend, (trace.skip[layer],), (tangent,))[:2]
    skip = tangent
    if head is not None:
        moved = torch.zeros_like(moved) if head == SKIP else moved * (torch.arange(moved.shape[2]) == head)[:, None]
        skip = tangent if head == SKIP else torch.zeros_like(tangent)
    return jvp(y.finish, (trace.skip[layer], context), (skip, moved))[1]


def at_only(tangent: torch.Tensor, position: int) -> torch.Tensor:
    return tangent * (torch.arange(tangent.shape[1]) == position)[:, None]
