"""Attention attribution against a literal version and the identities it must keep."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from tests.models.conftest import ENCODERS, make_model

from flowgauge.core.errors import UsageError
from flowgauge.methods.gradients import attattr
from flowgauge.methods.gradients.attattr import AttAttr, path_nodes
from flowgauge.models.batch import Batch, Rows
from flowgauge.models.flow.flow_model import FlowModel
from flowgauge.models.flow.trace import trace_bytes
from flowgauge.models.inputs.encode import relabel
from flowgauge.models.layers.attention import mix
from flowgauge.models.outputs import value
from flowgauge.tasks.instance import Quantity

RULES = ["right", "left", "midpoint", "trapezoid", "gauss-legendre"]
NODES = {
    "right": [(k + 1) / 5 for k in range(5)],
    "left": [k / 5 for k in range(5)],
    "midpoint": [(k + 0.5) / 5 for k in range(5)],
}


def with_biases(model: FlowModel, size: float = 0.3) -> FlowModel:
    """Random biases, and an epsilon that matters: a fresh model has none, and would not notice one that is forgotten."""
    generator = torch.Generator().manual_seed(9)
    layers: Any = model.layers
    for y in layers:
        if y.norm1 is not None:
            object.__setattr__(y.norm1, "eps", 0.01)
        parts = (y.attention.query, y.attention.key, y.attention.value, y.attention.output, y.ff.inner, y.ff.outer)
        for part in (part for part in parts if part.bias is not None):
            part.bias.add_(torch.randn(part.bias.shape, generator=generator, dtype=part.bias.dtype), alpha=size)
    return model


@pytest.fixture(scope="module")
def models():
    """As the folder's, with biases."""
    return lambda *args, **sizes: with_biases(make_model(*args, **sizes))


@pytest.fixture(scope="module")
def model(models) -> FlowModel:
    """A three-layer BERT with biases."""
    found: FlowModel = models()
    return found


@pytest.fixture
def batch(model, batches) -> Batch:
    """Asked for what the model predicts, so that F is far from 0."""
    return relabel(model, batches(model, [6, 5, 4]))


def explained(model: FlowModel, batch: Batch, **settings) -> list[np.ndarray]:
    return [np.asarray(one.edges) for one in AttAttr(**settings).explain(model, batch)]


def with_attention(model: FlowModel, batch: Batch, layer: int, edit) -> torch.Tensor:
    """F with the attention of one layer replaced: every layer computed from the words on."""
    asked = replace(batch, quantity=Quantity("probability"), cache={})
    edits = {"attention": lambda number, weights: edit(weights) if number == layer else weights}
    (trace,) = model.run(Rows(asked, model.embed(model.words(asked), asked), edits=edits))
    return value(model.readout(trace.site("hidden", model.n_layers), asked), asked)


def gradient_at(model: FlowModel, batch: Batch, layer: int, alpha: float) -> tuple[torch.Tensor, torch.Tensor]:
    """A and dF/dA at alpha A, for one layer (B, A, N, N), by autograd through the attention weights."""
    seen = {}

    def scale(weights: torch.Tensor) -> torch.Tensor:
        seen["clean"] = weights.detach()
        seen["leaf"] = (alpha * weights).detach().requires_grad_(True)
        return seen["leaf"]

    (gradient,) = torch.autograd.grad(with_attention(model, batch, layer, scale).sum(), seen["leaf"])
    return seen["clean"], gradient


def literal(model: FlowModel, batch: Batch, nodes: list[float]) -> torch.Tensor:
    """The published algorithm: every layer and step through the whole network (B, L, A, N, N)."""
    layers = []
    for layer in range(model.n_layers):
        pairs = [gradient_at(model, batch, layer, alpha) for alpha in nodes]
        layers.append(pairs[0][0] * torch.stack([gradient for _, gradient in pairs]).mean(0))
    return torch.stack(layers, 1)


def change(model: FlowModel, batch: Batch) -> np.ndarray:
    """F(A) - F(0) of each layer (B, L)."""
    with torch.no_grad():
        ends = [
            with_attention(model, batch, layer, lambda a: a) - with_attention(model, batch, layer, torch.zeros_like)
            for layer in range(model.n_layers)
        ]
    return torch.stack(ends, 1).numpy()


def largest_difference(one: list[np.ndarray], other: list[np.ndarray]) -> float:
    return max(abs(a - b).max() for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("head", ["masked", "label"])
@pytest.mark.parametrize("family", ENCODERS)
def test_equals_the_literal_algorithm(models, batches, family, head):
    model = models(family, head)
    batch = relabel(model, batches(model, [6, 4]))
    expected = literal(model, batch, NODES["right"])
    found = explained(model, batch, steps=5)
    assert abs(found[0] - expected[0].numpy()).max() < 1e-16
    assert abs(found[1] - expected[1, ..., :4, :4].numpy()).max() < 1e-16
    assert abs(found[0]).max() > 1e-4
    assert expected[1, ..., 4:, :].abs().max() == expected[1, ..., 4:].abs().max() == 0  # padding


@pytest.mark.parametrize("rule", ["left", "midpoint"])
def test_rules_put_their_nodes_where_they_say(model, batch, rule):
    expected = literal(model, batch, NODES[rule])
    assert abs(explained(model, batch, rule=rule, steps=5)[0] - expected[0].numpy()).max() < 1e-16


def test_the_scores_of_a_layer_sum_to_what_its_attention_changes(model, batch):
    whole = change(model, batch)
    for row, one in enumerate(AttAttr(rule="gauss-legendre", steps=40).explain(model, batch)):
        assert one.edges.sum((1, 2, 3)) == pytest.approx(whole[row], abs=1e-14)
        assert [one.values[f"change/{layer}"] for layer in (1, 2, 3)] == pytest.approx(whole[row], abs=1e-14)
        assert one.values["completeness_error"] < 1e-14
    (one, *_) = AttAttr(steps=3).explain(model, batch)
    error = abs(one.edges.sum((1, 2, 3)) - whole[0])
    assert one.values["completeness_error"] == pytest.approx(error.max(), abs=1e-13)
    assert one.values["completeness_error_mean"] == pytest.approx(error.mean(), abs=1e-13)
    assert error.max() > 1e-4


@pytest.mark.parametrize(("rule", "order"), [("right", 1), ("left", 1), ("midpoint", 2), ("trapezoid", 2)])
def test_the_completeness_error_falls_with_the_order_of_the_rule(model, batch, rule, order):
    errors = [
        np.array([one.values["completeness_error"] for one in AttAttr(rule=rule, steps=steps).explain(model, batch)])
        for steps in (40, 80)
    ]
    assert errors[0] / errors[1] == pytest.approx(np.full(3, 2.0**order), rel=0.1)


def test_right_minus_left_is_the_difference_of_the_ends(model, batch):
    right, left, both = (explained(model, batch, rule=rule, steps=7) for rule in ("right", "left", "trapezoid"))
    for layer in range(model.n_layers):
        (clean, at_end), (_, at_start) = (gradient_at(model, batch, layer, alpha) for alpha in (1.0, 0.0))
        expected = (clean * (at_end - at_start))[0].numpy() / 7
        assert abs(right[0][layer] - left[0][layer] - expected).max() < 1e-13
    assert largest_difference(both, [(r + s) / 2 for r, s in zip(right, left, strict=True)]) < 1e-14


def test_in_the_last_layer_only_the_target_asks(model, batch):
    for edges in explained(model, batch, steps=4):
        others = np.arange(edges.shape[-1]) != 2
        assert (edges[-1][:, others] == 0).all() and abs(edges[-1][:, 2]).min() > 0
        assert abs(edges[0][:, others]).max() > 0


def test_classes_sum_to_nothing(models, batches):
    model = models("bert", "label")
    batch = batches(model, [5, 3])
    classes = [explained(model, replace(batch, answer=torch.full((2, 1), c), cache={}), steps=4) for c in range(3)]
    for row in range(2):
        total = np.sum([one[row] for one in classes], 0)
        assert abs(total).max() < 1e-15 < 1e-4 < abs(classes[0][row]).max()


def test_a_heads_scores_sum_to_its_mean_gradient_times_its_context(model, batch):
    asked = replace(batch, quantity=Quantity("probability"), cache={})
    clean = attattr._run_clean(model, asked)
    means = attattr._mean_gradients(model, asked, clean, path_nodes("right", 4))
    found = explained(model, batch, steps=4)
    for layer, (mean, attention, values) in enumerate(zip(means, clean.attention, clean.value, strict=True)):
        context = mix(attention, values)
        assert (mean * context).sum((1, 3))[0].numpy() == pytest.approx(found[0][layer].sum((1, 2)), abs=1e-15)


def test_a_head_without_values_or_output_weights_gets_nothing(models, batches):
    model = models()
    with torch.no_grad():
        values = model.layers[0].attention.value
        values.weight[4:8], values.bias[4:8] = 0, 0  # head 1: no values; below, head 2: no output
        model.layers[1].attention.output.weight[:, 8:12] = 0
    edges = explained(model, batches(model, [6]), steps=3)[0]
    assert (edges[0, 1] == 0).all() and abs(edges[1, 2]).max() == 0
    assert abs(edges[0, 0]).max() > 1e-5 and abs(edges[1, 3]).max() > 1e-5


def test_permuting_heads_permutes_scores(models, batches):
    model, other = models(), models()
    order, rows = [2, 0, 3, 1], torch.arange(16).view(4, 4)[[2, 0, 3, 1]].flatten()
    y = other.layers[1].attention
    with torch.no_grad():
        for part in (y.query, y.key, y.value):
            part.weight[:], part.bias[:] = part.weight[rows].clone(), part.bias[rows].clone()
        y.output.weight[:] = y.output.weight[:, rows].clone()
    batch = batches(model, [5])
    (plain,), (permuted,) = explained(model, batch, steps=3), explained(other, batch, steps=3)
    assert abs(permuted[1] - plain[1][order]).max() < 1e-14 and abs(permuted[0] - plain[0]).max() < 1e-14


def test_without_attention_the_block_gives_its_bias(model, batch):
    asked = replace(batch, quantity=Quantity("probability"), cache={})
    found = attattr._without_attention(model, asked, attattr._run_clean(model, asked))
    zero = torch.stack([with_attention(model, batch, layer, torch.zeros_like) for layer in range(model.n_layers)])
    assert (found - zero).abs().max() < 1e-14
    y, start = model.layers[0], model.embed(model.words(asked), asked)
    entered = y.norm1(start + y.attention.output.bias)
    hidden = y.norm2(entered + y.ff(entered))
    (trace,) = model.run(Rows(asked, hidden, 1))
    assert torch.allclose(value(model.readout(trace.site("hidden", 3), asked), asked), found[0], atol=1e-14)


@pytest.mark.parametrize("family", ENCODERS)
def test_padding_and_company_change_nothing(models, batches, single, family):
    model = models(family)
    batch = batches(model, [6, 5, 4])
    together = explained(model, batch, steps=4)
    apart = [explained(model, single(batch, row), steps=4)[0] for row in range(3)]
    assert largest_difference(together, apart) < 1e-14


@pytest.mark.parametrize("rule", RULES)
def test_the_budget_changes_nothing(model, batch, monkeypatch, rule):
    whole = explained(model, batch, rule=rule, steps=4)
    monkeypatch.setattr(attattr, "BUDGET", 1)
    assert largest_difference(explained(model, batch, rule=rule, steps=4), whole) < 1e-15
    monkeypatch.setattr(attattr, "BUDGET", 8 * trace_bytes(model, 6, 1))  # 8 steps: two instances at once
    assert [(len(rows), layers) for rows, _, layers in attattr._parts(model, batch, 4)] == [(2, range(3)), (1, range(3))]
    assert largest_difference(explained(model, batch, rule=rule, steps=4), whole) < 1e-15


def test_heads_are_the_largest_score_between_real_tokens(model, batch):
    for one in AttAttr(steps=2).explain(model, batch):
        assert (one.heads == one.edges.max((2, 3))).all()
        assert (one.heads[-1] >= 0).all()
    edges = torch.full((3, 1, 1, 6, 6), -2.0)
    edges[:, :, :, 5], edges[:, :, :, :, 5] = 7.0, 7.0  # padding of the second and third sentence
    assert attattr._largest(edges, batch).flatten().tolist() == [7.0, -2.0, -2.0]


def test_one_right_step_is_attention_times_gradient(model, batch):
    found = explained(model, batch, steps=1)
    for layer in range(model.n_layers):
        clean, gradient = gradient_at(model, batch, layer, 1.0)
        assert abs(found[0][layer] - (clean * gradient)[0].numpy()).max() < 1e-16


def test_outputs_and_targets(models, batches):
    model = models("bert", "label")
    batch = replace(batches(model, [5, 4]), pairwise=False, answer=torch.tensor([[0], [1]]), cache={})
    predicted = relabel(model, batch)
    assert (predicted.answer != batch.answer).any()
    assert largest_difference(explained(model, batch, target="predicted", steps=3), explained(model, predicted, steps=3)) == 0
    logits = {c: replace(batch, answer=torch.full((2, 1), c), quantity=Quantity("logit"), cache={}) for c in (0, 2)}
    apart = [explained(model, one, output="quantity", steps=3) for one in logits.values()]
    both = replace(batch, answer=torch.full((2, 1), 0), against=torch.full((2, 1), 2), cache={})
    found = explained(model, both, output="quantity", steps=3)  # a difference of logits is linear in F
    assert largest_difference(found, [a - b for a, b in zip(*apart, strict=True)]) < 1e-13
    logit = model.outputs(batch)[0]
    one = AttAttr(output="quantity", steps=3).explain(model, both)[0]
    assert one.values["q"] == pytest.approx(float(logit[0, 0] - logit[0, 2]), abs=1e-12)
    one = AttAttr(steps=3).explain(model, batch)[0]
    assert one.values["probability"] == pytest.approx(float(model.outputs(batch)[0].softmax(1)[0, 0]), abs=1e-12)


def test_settings_out_of_range_say_what_there_is():
    with pytest.raises(UsageError, match="rule must be right, left, midpoint, trapezoid or gauss-legendre, got 'gauss'"):
        AttAttr(rule="gauss")
    with pytest.raises(UsageError, match="steps must be at least 1, got 0"):
        AttAttr(steps=0)
    with pytest.raises(UsageError, match="output must be probability or quantity, got 'logit'"):
        AttAttr(output="logit")
