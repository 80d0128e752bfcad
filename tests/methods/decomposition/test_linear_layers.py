"""Parts and biases sum to the layer's own intermediates, for every kind of layer."""

from __future__ import annotations

import pytest
import torch

from flowgauge.core.errors import NotApplicable
from flowgauge.methods.decomposition.linear_layers import HeldNorm, linear_layers, shares
from flowgauge.models.batch import Rows
from flowgauge.models.layers.norms import Norm
from flowgauge.models.memory import within_memory

FAMILIES = ["bert", "modernbert", "gpt2", "gpt_neox", "llama", "gemma2", "qwen3"]
"""Norms after and before each block, rotary positions, parallel residuals, grouped heads, caps, norms on both sides."""


@pytest.mark.parametrize("family", FAMILIES)
def test_parts_and_biases_sum_to_the_residual_after_attention(models, batches, family):
    model = models(family)
    batch = batches(model, [6, 4])
    start = model.embed(model.words(batch), batch)
    (trace,) = model.run(Rows(batch, start), keep={"hidden", "context"})
    layers = list(linear_layers(model, batch))
    assert len(layers) == model.n_layers == 3
    for index, linear in enumerate(layers):
        layer, skip = model.layers[index], trace.site("hidden", index)
        attended = layer.attention.attended(trace.site("context", index))
        middle = layer.merged(skip, attended)
        bias = layer.attention.output.bias
        for part in (linear.attended().sum(2), linear.by_head().sum((2, 3))):
            assert torch.allclose(part if bias is None else part + bias, attended, rtol=0, atol=1e-10)
        added = linear.norms.added
        nothing = torch.zeros_like(attended) if bias is None else bias.expand_as(attended)
        of_biases = nothing if added is None else added(nothing[:, :, None])[:, :, 0] + (0 if added.bias is None else added.bias)
        assert torch.allclose(linear.merged().sum(2) + of_biases, middle, rtol=0, atol=1e-10)
        assert torch.allclose(linear.middle, middle, rtol=0, atol=1e-12)
        assert torch.allclose(linear.after, trace.site("hidden", index + 1), rtol=0, atol=1e-12)
        assert torch.allclose(linear.merged()[:, 2:4], linear.merged(slice(2, 4)), rtol=0, atol=1e-12)


@pytest.mark.parametrize("family", ["bert", "llama"])
def test_a_part_is_what_one_position_writes_through_one_head(models, batches, family):
    model = models(family)
    batch = batches(model, [5, 4])
    for linear in linear_layers(model, batch):
        attention = linear.layer.attention
        value = attention.shared(attention.project(linear.layer.normed(linear.skip), batch.positions).value)
        output = attention.output.weight.unflatten(1, (model.n_heads, -1))
        for i, j, head in ((3, 1, 0), (2, 2, 3), (3, 0, 2)):
            expected = linear.weights[1, head, i, j] * output[:, head] @ value[1, j, head]
            assert torch.allclose(linear.by_head()[1, i, j, head], expected, rtol=0, atol=1e-12)
            assert expected.norm() > 0


@pytest.mark.parametrize(("centred", "weight"), [(True, True), (False, True), (True, False)])
def test_a_held_norm_is_linear_and_the_norm_itself_at_its_input(centred, weight):
    module = torch.nn.LayerNorm(6, elementwise_affine=weight).double()
    if weight:
        torch.nn.init.normal_(module.weight)
        torch.nn.init.normal_(module.bias)
    norm = Norm(module, 1e-5, centred)
    x = torch.randn(2, 3, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    held = HeldNorm.at(norm, x)
    bias = torch.zeros(()) if norm.bias is None or not centred else norm.bias
    assert torch.allclose(held(x) + bias, norm(x), rtol=0, atol=1e-14)
    parts = torch.stack([0.3 * x, 0.7 * x], 2)
    assert torch.allclose(held(parts).sum(2), held(x), rtol=0, atol=1e-14)
    assert torch.allclose(held(parts[:, 1:2], slice(1, 2)), held(parts)[:, 1:2], rtol=0, atol=0)
    assert torch.allclose(held(2 * x), 2 * held(x), rtol=0, atol=1e-14)
    gradient = torch.randn(2, 3, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    expected = torch.func.vjp(held, x)[1](gradient)[0]
    assert torch.allclose(held.back(gradient), expected, rtol=0, atol=1e-13)


def test_queries_are_cut_to_the_memory_budget(model, batch):
    (linear, *_) = linear_layers(model, batch)
    assert linear.some_queries(1) == [slice(0, 6)]
    with within_memory(4 * 2 * linear.skip.numel() * 8):
        assert linear.some_queries(1) == [slice(0, 2), slice(2, 4), slice(4, 6)]


def test_a_row_without_contributions_is_its_own():
    assert shares(torch.zeros(1, 2, 2)).tolist() == [[[1, 0], [0, 1]]]


def test_unknown_kinds_of_layers_are_refused(models, batches, monkeypatch):
    model = models("bert")
    monkeypatch.setattr("flowgauge.methods.decomposition.linear_layers.PostNorm", int)
    with pytest.raises(NotApplicable, match="this model's are PostNorm"):
        list(linear_layers(model, batches(model, [3])))


def test_an_undefined_contribution_stays_undefined():
    found = shares(torch.tensor([[[float("nan"), 1.0], [1.0, 1.0]]]))
    assert found[0, 0].isnan().all() and found[0, 1].tolist() == [0.5, 0.5]
