"""Gradient times attention against the literal product, and generic attention explainability against its update rule."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.methods.gradients.conftest import FAMILIES, start

from flowgauge.methods.gradients.context_gradients import context_gradients, objective
from flowgauge.methods.gradients.gradient_x_attention import GenericAttention, GradientXAttention
from flowgauge.methods.gradients.head_taylor import HeadTaylor
from flowgauge.methods.perturbation.head_accuracy_difference import head_accuracy_difference
from flowgauge.models.batch import Rows
from flowgauge.models.memory import within_memory


def literal_attention_gradients(model, batch, name):
    """A and dF/dA of every layer, with every N x N gradient taken by autograd."""
    (trace,) = model.run(Rows(batch, start(model, batch).requires_grad_(True)), keep={"attention"})
    weights = [trace.whole("attention", layer) for layer in range(model.n_layers)]
    scalar = objective(model.readout(trace.site("hidden", model.n_layers), batch), batch, name)
    return [w.detach() for w in weights], torch.autograd.grad(scalar.sum(), weights)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("output", ["quantity", "probability"])
def test_gradient_x_attention_is_the_literal_product(models, batches, family, output):
    for head in ("masked", "label"):
        model = models(family, head)
        batch = batches(model, [6, 4])
        weights, gradients = literal_attention_gradients(model, batch, output)
        for row, found in enumerate(GradientXAttention(output).explain(model, batch)):
            n = batch.lengths[row]
            expected = torch.stack([(w * g)[row, :, :n, :n] for w, g in zip(weights, gradients, strict=True)]).numpy()
            scale = abs(expected).max()
            assert abs(found.edges - expected).max() < 1e-12 * scale
            assert abs(found.tokens - expected[-1].sum((0, 1))).max() < 1e-12 * scale  # the target's row is all there is
            assert abs(found.heads - expected.sum((2, 3))).max() < 1e-11 * scale


def test_gradient_x_attention_sums_to_the_contexts_own(model, batch):
    trace, gradients = context_gradients(model, batch, "quantity")
    for row, found in enumerate(GradientXAttention().explain(model, batch)):
        for layer, gradient in enumerate(gradients):
            gate = (gradient * trace.site("context", layer))[row].sum((0, 2))
            assert found.heads[layer] == pytest.approx(gate.detach().numpy(), rel=1e-10, abs=1e-13)
        assert found.edges[2][:, [0, 1, 3]].any() == False  # noqa: E712  q reads the target alone


def test_gradient_x_attention_of_all_classes_sums_to_zero(models, batches):
    model = models("bert", "label")
    batch = batches(model, [5, 4])
    made = [
        GradientXAttention("probability").explain(model, replace(batch, answer=torch.full((2, 1), c), cache={})) for c in range(3)
    ]
    for row in range(2):
        assert abs(made[0][row].edges).max() > 1e-4
        assert abs(np.sum([one[row].edges for one in made], 0)).max() < 1e-15


def test_a_head_whose_values_are_zero_gets_nothing(models, batches):
    model = models()
    value_of = model.layers[1].attention.value
    with torch.no_grad():
        value_of.weight[4:8] = 0  # head 1 of width 4
        value_of.bias[4:8] = 0
    batch = batches(model, [6, 4])
    for found, taylor, lost in zip(
        GradientXAttention().explain(model, batch),
        HeadTaylor().explain(model, batch),
        head_accuracy_difference().explain(model, batch),
        strict=True,
    ):
        assert not found.edges[1, 1].any() and found.edges[1, 0].any()
        assert taylor.heads[1, 1] == 0 < taylor.heads[1, 0]
        assert lost.heads[1, 1] == 0


def literal_relevance(model, one):
    """R after every layer, and the positive maps, of a batch of one instance."""
    weights, gradients = literal_attention_gradients(model, one, "quantity")
    n = one.ids.shape[1]
    maps = np.zeros((model.n_layers, n, n))
    for layer, (a, g) in enumerate(zip(weights, gradients, strict=True)):
        for head in range(model.n_heads):
            for i in range(n):
                for p in range(n):
                    maps[layer, i, p] += max(float(a[0, head, i, p] * g[0, head, i, p]), 0) / model.n_heads
    relevance = [np.eye(n)]
    for layer in maps:
        relevance.append(relevance[-1] + layer @ relevance[-1])
    return relevance, maps


@pytest.mark.parametrize("family", ["bert", "deberta-v2", "gpt2", "llama"])
def test_generic_attention_is_the_update_rule_of_the_paper(models, batches, single, family):
    model = models(family)
    batch = batches(model, [6, 4])
    for row, found in enumerate(GenericAttention().explain(model, batch)):
        relevance, maps = literal_relevance(model, single(batch, row))
        target = int(batch.target[row])
        assert maps.max() > 1e-3
        np.testing.assert_allclose(found.edges[:, 0], maps, rtol=1e-9, atol=1e-13)
        np.testing.assert_allclose(found.tokens, relevance[-1][target], rtol=1e-9, atol=1e-13)
        for depth in range(model.n_layers + 1):
            # with T_l what R is after l layers, (what is above l) T_l is R itself
            np.testing.assert_allclose(found.nodes[depth] @ relevance[depth], found.tokens, rtol=1e-9, atol=1e-13)
        assert found.nodes[-1].tolist() == np.eye(batch.lengths[row])[target].tolist()


def test_the_maps_of_q_and_of_its_negative_differ_by_the_whole_product(model, batch):
    weights, gradients = literal_attention_gradients(model, batch, "quantity")
    turned = replace(batch, answer=batch.against, against=batch.answer, cache={})
    pairs = zip(GenericAttention().explain(model, batch), GenericAttention().explain(model, turned), strict=True)
    for row, (found, other) in enumerate(pairs):
        n = batch.lengths[row]
        whole = torch.stack([(w * g)[row, :, :n, :n].mean(0) for w, g in zip(weights, gradients, strict=True)]).numpy()
        np.testing.assert_allclose(found.edges[:, 0] - other.edges[:, 0], whole, rtol=1e-9, atol=1e-13)


def test_without_values_only_the_identity_of_the_target_is_left(models, batches):
    model = models()
    with torch.no_grad():
        for layer in model.layers:
            layer.attention.value.weight.zero_()
            layer.attention.value.bias.zero_()
    for found in GenericAttention().explain(model, batches(model, [5, 4])):
        assert not found.edges.any()
        assert found.nodes.tolist() == np.eye(len(found.tokens))[[2] * 4].tolist()


def test_memory_for_one_row_at_once_changes_nothing(model, batch):
    whole = GenericAttention().explain(model, batch)
    with within_memory(1):
        split = GenericAttention().explain(model, batch)
    for one, other in zip(whole, split, strict=True):
        np.testing.assert_allclose(one.tokens, other.tokens, rtol=1e-10)
        np.testing.assert_allclose(one.edges, other.edges, rtol=1e-9, atol=1e-13)
