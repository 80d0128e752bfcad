"""Gradient times attention, head-taylor, accuracy difference, and heads read from edges: against the literal way."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from flowgauge.core.errors import NotApplicable, UsageError
from flowgauge.methods.explanation import Explanation
from flowgauge.methods.gradients.context_gradients import context_gradients, objective
from flowgauge.methods.gradients.gradient_x_attention import GradientXAttention
from flowgauge.methods.gradients.head_taylor import HeadTaylor
from flowgauge.methods.perturbation.head_accuracy_difference import head_accuracy_difference
from flowgauge.methods.views import edge_flows, head_scores, rank_nodes
from flowgauge.models.batch import Rows
from flowgauge.models.outputs import correct, value
from flowgauge.tasks.instance import Quantity

FAMILIES = ["bert", "roberta", "electra", "distilbert"]


def start(model, batch):
    return model.embed(model.words(batch), batch)


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
    value_of = model.layers[1].value
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


def gated(model, batch, name):
    """F as a function of one gate a head, written with edits: what head-taylor differentiates."""

    def scalar(gates):
        edits = {"context": lambda layer, context: context * gates[layer][:, None]}
        (trace,) = model.run(Rows(batch, start(model, batch), edits=edits))
        return objective(model.readout(trace.site("hidden", model.n_layers), batch), batch, name).sum()

    return scalar


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("name", ["loss", "quantity", "logit_sum"])
def test_head_taylor_is_the_derivative_of_a_gate(models, batches, single, family, name):
    model = models(family)
    batch = batches(model, [6, 4])
    for row, found in enumerate(HeadTaylor(name).explain(model, batch)):
        gates = torch.ones(3, 4, dtype=torch.float64)
        expected = torch.autograd.functional.jacobian(gated(model, single(batch, row), name), gates).abs().numpy()
        assert found.heads == pytest.approx(expected, rel=1e-9, abs=1e-13)


def test_taylor_sums_what_gradient_x_attention_has(model, batch):
    taylor, edges = HeadTaylor("quantity").explain(model, batch), GradientXAttention().explain(model, batch)
    tokens = HeadTaylor("quantity", absolute="token").explain(model, batch)
    for one, two, three in zip(taylor, edges, tokens, strict=True):
        assert one.heads == pytest.approx(abs(two.edges.sum((2, 3))), rel=1e-10)
        assert three.heads == pytest.approx(abs(two.edges.sum(3)).sum(2), rel=1e-10)
        assert (three.heads >= one.heads - 1e-12).all() and (three.heads > one.heads + 1e-9).any()


def test_normalised_layers_have_norm_one_and_keep_their_order(model, batch):
    for plain, scaled in zip(HeadTaylor().explain(model, batch), HeadTaylor(normalise=True).explain(model, batch), strict=True):
        assert np.linalg.norm(scaled.heads, axis=1) == pytest.approx(np.ones(3))
        assert np.linalg.norm(plain.heads, axis=1) != pytest.approx(np.ones(3))
        assert (plain.heads.argsort(1) == scaled.heads.argsort(1)).all()


def test_objectives_by_hand(batch):
    logits = torch.zeros(3, 60, dtype=torch.float64)
    logits[:, 7], logits[:, 8] = torch.log(torch.tensor([3.0, 1.0, 0.5], dtype=torch.float64)), 2.0
    total = 58 + torch.tensor([3.0, 1.0, 0.5], dtype=torch.float64) + np.e**2
    probability = torch.tensor([3.0, 1.0, 0.5], dtype=torch.float64) / total
    asked = replace(batch, quantity=Quantity("logit"), cache={})
    assert torch.allclose(objective((logits,), asked, "quantity"), logits[:, 7])
    assert torch.allclose(objective((logits,), asked, "probability"), probability)
    assert torch.allclose(objective((logits,), asked, "loss"), -probability.log())
    assert torch.allclose(objective((logits,), asked, "logit_sum"), logits[:, 7] + 2)
    assert torch.allclose(value((logits,), batch), logits[:, 7] - 2)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("head", ["masked", "label"])
def test_accuracy_difference_is_the_literal_removal(models, batches, family, head, monkeypatch):
    """Every head of every layer through the whole network; in one chunk and in many."""
    monkeypatch.setattr("flowgauge.methods.perturbation.head_accuracy_difference.ROWS", 40 if family == "bert" else 512)
    model = models(family, head, seed=2)
    batch = undecided(model, batches(model, [6] * 12 + [4] * 12))
    (clean,) = model.run(Rows(batch, start(model, batch)))
    right = correct(model.readout(clean.site("hidden", 3), batch), batch)
    found = np.stack([e.heads for e in head_accuracy_difference().explain(model, batch)])
    for layer, number in np.ndindex(3, 4):

        def zeroed(at, context, layer=layer, number=number):
            keep = torch.arange(4) != number
            return context * keep[:, None] if at == layer else context

        (trace,) = model.run(Rows(batch, start(model, batch), edits={"context": zeroed}))
        without = correct(model.readout(trace.site("hidden", 3), batch), batch)
        assert found[:, layer, number].tolist() == (right.double() - without.double()).tolist()
    assert {-1.0, 0.0, 1.0} == set(np.unique(found))  # both signs are tested
    drop = right.double().mean() - (right.double() - torch.from_numpy(found[:, 0, 0])).mean()
    assert found[:, 0, 0].mean() == pytest.approx(float(drop))


def undecided(model, batch):
    """The batch with each row's two closest outputs as answer and against, every second time in the wrong order."""
    ranked = model.outputs(batch)[0].sort(1, descending=True)
    closest = (ranked.values[:, :-1] - ranked.values[:, 1:]).argmin(1)
    pair = torch.stack([ranked.indices[torch.arange(len(batch)), closest + k] for k in (0, 1)], 1)
    pair[::2] = pair[::2].flip(1)
    return replace(batch, answer=pair[:, :1], against=pair[:, 1:], cache={})


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("make", [GradientXAttention, HeadTaylor, head_accuracy_difference], ids=lambda m: m.name)
def test_padding_changes_nothing(models, batches, single, family, make):
    for head in ("masked", "label"):
        model, method = models(family, head), make()
        batch = batches(model, [6, 4])
        together = method.explain(model, batch)
        for row in range(2):
            (alone,) = method.explain(model, single(batch, row))
            for view in method.gives:
                assert getattr(together[row], view) == pytest.approx(getattr(alone, view), rel=1e-9, abs=1e-12)


def test_heads_are_read_from_edges_by_their_largest():
    edges = np.zeros((2, 3, 4, 4))
    edges[0, 1, 2, 3], edges[1, 2], edges[1, 0, 0, 0] = 5.0, -1.0, 2.0
    assert head_scores(Explanation(edges=edges)).tolist() == [[0, 5, 0], [2, 0, -1]]
    assert head_scores(Explanation(edges=edges, heads=np.ones((2, 3)))).tolist() == [[1, 1, 1], [1, 1, 1]]
    with pytest.raises(NotApplicable, match="edges for all heads together"):
        head_scores(Explanation(edges=edges[:, :1]))
    with pytest.raises(NotApplicable, match="gives tokens, from which heads cannot be ranked"):
        head_scores(Explanation(tokens=np.ones(3)))


def test_negative_edges_carry_nothing():
    """The product of two negative edges is no support."""
    edges = np.random.default_rng(0).standard_normal((3, 4, 4))
    assert (edge_flows(edges, 1) == edge_flows(edges.clip(min=0), 1)).all()
    edges = np.full((2, 1, 2, 2), -3.0)
    edges[0, 0, 0, 1], edges[1, 0, 0, 0] = 0.5, 2.0
    score = rank_nodes(Explanation(edges=edges), np.array([0, 1]), 0).score
    assert score.tolist() == [[0, 1], [1, 0], [1, 0]]


@pytest.mark.parametrize(
    ("method", "settings", "message"),
    [
        (GradientXAttention, {"output": "loss"}, "output must be one of quantity, probability; got 'loss'"),
        (HeadTaylor, {"objective": "probability"}, "objective must be one of loss, quantity, logit_sum"),
        (HeadTaylor, {"absolute": "none"}, "absolute must be one of head, token; got 'none'"),
    ],
)
def test_settings_that_do_not_exist_are_refused(method, settings, message):
    with pytest.raises(UsageError, match=message):
        method(**settings)
