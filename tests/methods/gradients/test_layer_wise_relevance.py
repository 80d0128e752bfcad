"""Relevance against its formulas written out in relevances, by hand, and by what it conserves."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from tests.methods.gradients.conftest import start

from flowgauge.methods.gradients.layer_wise_relevance import ATTN_LRP, CP_LRP, CPLRP, AttnLRP
from flowgauge.models.batch import Rows
from flowgauge.models.layers.derivative_rules import DerivativeRules
from flowgauge.models.layers.norms import layer_norm_of, rms_norm_of
from flowgauge.models.layers.post_norm import PostNorm
from flowgauge.models.memory import within_memory
from flowgauge.models.outputs import value

FAMILIES = ["bert", "albert", "deberta-v2", "modernbert", "mpnet", "gpt2", "gpt_neox", "gemma2", "llama", "qwen3"]
METHODS: dict[str, tuple[Any, Any]] = {"attn-lrp": (AttnLRP(), ATTN_LRP), "cp-lrp": (CPLRP(), CP_LRP)}


def linear_back(x, part, relevance):
    """R_i = sum_j x_i w_ji R_j / z_j with z = W x + b; nothing comes from where R_j is 0."""
    return x * (torch.where(relevance == 0, 0.0, relevance / part(x)) @ part.weight)


def norm_back(norm, x, relevance):
    """The bias takes its share, the deviation is constant, and the mean is a linear map."""
    if norm is None:
        return relevance
    centred = x - x.mean(-1, keepdim=True) if norm.centred else x
    share = norm.weight / (centred.square().mean(-1, keepdim=True) + norm.eps).sqrt() * relevance / norm(x)
    return x * (share - share.mean(-1, keepdim=True) if norm.centred else share)


def feed_back(block, x, relevance):
    """The identity rule at the activation function, halves at a gate."""
    inner = block.inner(x)
    active = block.act(inner)
    if block.gate is None:
        return linear_back(x, block.inner, linear_back(active, block.outer, relevance))
    half = linear_back(active * block.gate(x), block.outer, relevance) / 2
    return linear_back(x, block.inner, half) + linear_back(x, block.gate, half)


def attention_back(attention, x, mask, relevance, rule):
    """Relevance of what queries, keys and values are projected from, by the equations of both papers; one sentence."""
    positions = torch.arange(x.shape[1])[None]
    raw, turned = attention.raw(x), attention.project(x, positions)
    q, k, v = turned.query, attention.shared(turned.key), attention.shared(turned.value)
    a = attention.weights(q, k, mask)[0]
    context = torch.einsum("hij,jhp->ihp", a, v[0])
    parts = torch.einsum("hij,jhp->hijp", a, v[0])
    shares = (
        parts
        * (linear_back(context.flatten(1), attention.output, relevance[0]).view_as(context) / context).transpose(0, 1)[:, :, None]
    )
    if rule == "cp-lrp":
        of_value = attention.summed(shares.sum(1).transpose(0, 1))
        return linear_back(x, attention.value, of_value.flatten(-2)[None])
    shares = shares / 2
    of_weights = shares.sum(-1)
    scores = attention.scores(q, k)[0]
    of_scores = scores * (of_weights - a * of_weights.sum(-1, keepdim=True))
    products = torch.einsum("ihp,jhp->hijp", q[0], k[0]) * attention.scale * (of_scores / scores / 2)[..., None]
    of_query, of_key = products.sum(2).transpose(0, 1), attention.summed(products.sum(1).transpose(0, 1))
    if attention.rotary is not None:
        turn = attention.rotary.at(q, positions)
        of_query = (raw.query * turn.back((of_query / turned.query[0])[None]))[0]
        of_key = (raw.key * turn.back((of_key / turned.key[0])[None]))[0]
    of_value = attention.summed(shares.sum(1).transpose(0, 1))
    pairs = ((attention.query, of_query), (attention.key, of_key), (attention.value, of_value))
    return sum(linear_back(x, part, of_part.flatten(-2)[None]) for part, of_part in pairs)


def layer_back(layer, x, mask, relevance, rule):
    """Relevance of hidden[l] from that of hidden[l + 1]: every sum gives each summand its share."""
    attended = layer.attention.attended(context_of(layer, x, mask))
    if isinstance(layer, PostNorm):
        middle = layer.norm1(attended + x)
        total = layer.ff(middle) + middle
        share = norm_back(layer.norm2, total, relevance) / total
        of_middle = norm_back(layer.norm1, attended + x, feed_back(layer.ff, middle, share * layer.ff(middle)) + share * middle)
        share = of_middle / (attended + x)
        return attention_back(layer.attention, x, mask, share * attended, rule) + share * x
    middle = x + attended
    read = layer.norm2(middle)
    share = relevance / (middle + layer.ff(read))
    of_middle = share * middle + norm_back(layer.norm2, middle, feed_back(layer.ff, read, share * layer.ff(read)))
    share = of_middle / middle
    of_normed = attention_back(layer.attention, layer.norm1(x), mask, share * attended, rule)
    return share * x + norm_back(layer.norm1, x, of_normed)


def context_of(layer, x, mask):
    projected = layer.project(x, torch.arange(x.shape[1])[None])
    shared = layer.attention.shared
    return layer.attention.context(projected.query, shared(projected.key), shared(projected.value), mask)


def head_back(model, state, one):
    """Relevance of hidden[L] at the target from z_answer - z_against."""
    logits = model.readout(state, one)[0][0]
    relevance = torch.zeros_like(logits)
    relevance[one.answer[0, 0]], relevance[one.against[0, 0]] = logits[one.answer[0, 0]], -logits[one.against[0, 0]]
    at = state[0, one.target[0]]
    if model.head == "next":
        base = model.hf.transformer.ln_f if hasattr(model.hf, "transformer") else model.hf.model.norm
        norm = layer_norm_of(base) if hasattr(base, "bias") else rms_norm_of(base)
        of_target = norm_back(norm, at, linear_back(norm(at), model.hf.lm_head, relevance))
    else:
        transform, decoder = model.hf.cls.predictions.transform, model.hf.cls.predictions.decoder
        active = transform.transform_act_fn(transform.dense(at))
        norm = layer_norm_of(transform.LayerNorm)
        of_active = norm_back(norm, active, linear_back(norm(active), decoder, relevance))
        of_target = linear_back(at, transform.dense, of_active)
    relevances = torch.zeros_like(state)
    relevances[0, one.target[0]] = of_target
    return relevances


@pytest.mark.parametrize("family", ["bert", "gpt2", "llama"])
@pytest.mark.parametrize("rule", METHODS)
@torch.no_grad()
def test_it_is_the_rules_of_the_papers_written_in_relevances(models, batches, single, family, rule):
    model = models(family)
    batch = batches(model, [6, 4])
    for row, found in enumerate(METHODS[rule][0].explain(model, batch)):
        one = single(batch, row)
        (trace,) = model.run(Rows(one, start(model, one)), keep={"hidden"})
        states = [trace.site("hidden", depth) for depth in range(4)]
        expected = [head_back(model, states[-1], one)]
        for layer, state in zip(model.layers[::-1], states[-2::-1], strict=True):
            mask = layer.attention.mask(one.attention_mask)
            expected.insert(0, layer_back(layer, state, mask, expected[0], rule))
        nodes = torch.stack([relevance[0].sum(-1) for relevance in expected]).numpy()
        np.testing.assert_allclose(found.nodes, nodes, rtol=1e-7, atol=1e-9 * abs(nodes).max())
        assert found.tokens.tolist() == found.nodes[0].tolist()
        assert found.values["q"] == pytest.approx(float(value(model.outputs(one), one)), rel=1e-12)
        assert found.values["absorbed"] == pytest.approx(found.values["q"] - found.tokens.sum(), rel=1e-9)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("rule", METHODS)
def test_no_value_of_the_model_changes_by_a_bit(models, batches, family, rule):
    model = models(family)
    batch = batches(model, [6, 4])

    def run():
        (trace,) = model.run(Rows(batch, start(model, batch).requires_grad_(True)), keep={"attention", "hidden"})
        return [trace.site("hidden", depth) for depth in range(4)] + list(model.readout(trace.site("hidden", 3), batch))

    with DerivativeRules(METHODS[rule][1]):
        ruled = run()
    assert all(torch.equal(one, other) for one, other in zip(ruled, run(), strict=True))


def without_biases(model):
    with torch.no_grad():
        for name, weight in model.hf.named_parameters():
            if name.endswith("bias"):
                weight.zero_()
    return model


@pytest.mark.parametrize("family", FAMILIES)
def test_conservative_propagation_without_biases_conserves_q_in_every_layer(models, batches, family):
    assert lost(without_biases(models(family)), batches) < 1e-9


@pytest.mark.parametrize("act", ["gelu_new", "quick_gelu"])
@pytest.mark.parametrize("family", ["bert", "distilbert"])
def test_it_conserves_where_the_head_composes_its_activation_function(models, batches, family, act):
    name = "activation" if family == "distilbert" else "hidden_act"
    assert lost(without_biases(models(family, **{name: act})), batches) < 1e-9


def lost(model, batches):
    """The largest difference of the relevance of a layer from q, and what is reported as absorbed; q itself is far from 0."""
    explained = CPLRP().explain(model, batches(model, [6, 4]))
    assert min(abs(found.values["q"]) for found in explained) > 1e-3
    return max(max(abs(found.nodes.sum(1) - found.values["q"]).max(), abs(found.values["absorbed"])) for found in explained)


@pytest.mark.parametrize("family", ["bert", "gpt2", "llama"])
def test_without_biases_the_softmax_alone_absorbs_relevance(models, batches, family):
    """Each softmax takes the relevance of its weights and passes on sum_j s_j (R_j - A_j sum R)."""
    model = without_biases(models(family))
    batch = batches(model, [5, 5])
    with DerivativeRules(ATTN_LRP):
        hidden = start(model, batch).requires_grad_(True)
        (trace,) = model.run(Rows(batch, hidden), keep={"attention", "query", "key"})
        q = value(model.readout(trace.site("hidden", 3), batch), batch)
    weights = [trace.whole("attention", layer) for layer in range(3)]
    absorbed = torch.zeros(4, 2, dtype=torch.float64)
    for layer, (a, gradient) in enumerate(zip(weights, torch.autograd.grad(q.sum(), weights), strict=True)):
        attention = model.layers[layer].attention
        scores = attention.scores(trace.site("query", layer), attention.shared(trace.site("key", layer)))
        relevance = a * gradient
        passed = scores * (relevance - a * relevance.sum(-1, keepdim=True))
        absorbed[: layer + 1] += (relevance.sum((1, 2, 3)) - passed.sum((1, 2, 3))).detach()
    assert absorbed[0].abs().min() > 1e-3
    for row, found in enumerate(AttnLRP().explain(model, batch)):
        np.testing.assert_allclose(found.nodes.sum(1) + absorbed[:, row].numpy(), found.values["q"], atol=1e-9)


def test_one_head_by_hand():
    """Scores (ln 3, 0) of one query: weights (3/4, 1/4) of the values 2 and 4, so that the context is 2.5."""
    log3 = math.log(3)
    query, key, values = (
        torch.tensor(x, dtype=torch.float64).requires_grad_(True) for x in ([[1.0]], [[log3], [0.0]], [[2.0], [4.0]])
    )
    expected = {
        "cp-lrp": ([0.0], [0.0, 0.0], [1.5, 1.0]),
        # weights (.75, .5); scores ln 3 (.75 - .75 1.25) and 0, of which query and key take a half each
        "attn-lrp": ([-0.09375 * log3], [-0.09375 * log3, 0.0], [0.75, 0.5]),
    }
    for rule, relevances in expected.items():
        with DerivativeRules(METHODS[rule][1]):
            context = (query @ key.T).softmax(-1) @ values
        assert context.item() == pytest.approx(2.5)
        gradients = torch.autograd.grad(context.sum(), (query, key, values), allow_unused=True)
        for x, gradient, relevance in zip((query, key, values), gradients, relevances, strict=True):
            found = [0.0] * len(x) if gradient is None else (x * gradient)[:, 0].tolist()
            assert found == pytest.approx(relevance, abs=1e-15)


def test_an_activation_of_zero_has_relevance_zero_and_passes_none():
    x = torch.tensor([0.0, -2.0, 3.0], dtype=torch.float64).requires_grad_(True)
    with DerivativeRules(CP_LRP):
        y = torch.nn.functional.gelu(x)
    (gradient,) = torch.autograd.grad(y.sum(), x)
    assert gradient[0] == 0 and (x * gradient).tolist() == pytest.approx(y.tolist(), rel=1e-14)


@pytest.mark.parametrize("head", ["label", "span"])
def test_other_heads_and_memory_for_one_row_at_once(models, batches, head):
    model = without_biases(models("bert", head))
    batch = batches(model, [6, 5])
    whole = CPLRP().explain(model, batch)
    with within_memory(1):
        split = CPLRP().explain(model, batch)
    for one, other in zip(whole, split, strict=True):
        np.testing.assert_allclose(one.nodes, other.nodes, rtol=1e-9, atol=1e-13)
        assert abs(one.nodes.sum(1) - one.values["q"]).max() < 1e-9
