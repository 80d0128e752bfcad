"""Methods on decoders: nothing after the target matters, and identities hold over the words up to it, in float64."""

from __future__ import annotations

import itertools
from dataclasses import replace

import numpy as np
import pytest
import torch
from tests.methods.patterns.test_pattern_search import naive

from flowgauge.methods.attention.attention_graph import attention_maps
from flowgauge.methods.gradients.conductance import Conductance
from flowgauge.methods.gradients.integrated_gradients import IntegratedGradients
from flowgauge.methods.patterns.pattern_search import optimality_gaps, search
from flowgauge.methods.registry import METHODS
from flowgauge.models.batch import Rows
from flowgauge.models.flow.pattern_influence import pattern_influence
from flowgauge.models.flow.trace import path_trace
from flowgauge.models.outputs import value

FAMILIES = ["gpt2", "llama", "mistral", "qwen3"]
EXACT = [
    "influence-patterns:samples=3,baseline=pad", "repl-skip:samples=3,baseline=pad", "conductance:samples=3,baseline=pad",
    "internal-influence:samples=3,baseline=pad", "integrated-gradients:samples=3,baseline=pad", "attention", "raw-attention",
    "attention-rollout", "attention-flow", "gradient-x-attention", "saliency", "gradient-x-input", "leave-one-out:baseline=pad",
    "shapley-sampling:baseline=pad,samples=2", "attattr:steps=2", "kernel-shap:baseline=pad,samples=64",
    "smooth-grad:samples=2", "gradient-shap:samples=2,baseline=pad", "sequential-ig:samples=2,baseline=pad",
    "discretized-ig:steps=2,baseline=pad", "atman", "generic-attention", "attcat", "attn-lrp", "cp-lrp", "deep-lift:baseline=pad",
    "value-zeroing", "globenc", "alti", "alti-logit", "decompx", "information-flow-routes",
]  # fmt: skip
"""Methods whose scores of what has no effect are 0 by their formulas; noise and masks are fitted, and reach it nearly."""


def in_the_middle(batches, model):
    """Two texts of 6 and 5 tokens whose q is read at the third."""
    batch = batches(model, [6, 5])
    return replace(batch, target=torch.tensor([2, 2]), cache={})


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("spec", EXACT)
def test_what_follows_the_target_scores_zero(models, batches, family, spec):
    model = models(family)
    batch = in_the_middle(batches, model)
    for found, n in zip(METHODS.create(spec).explain(model, batch), batch.lengths, strict=True):
        small = 1e-6 if spec.startswith("kernel") else 1e-12
        if found.tokens is not None:
            assert found.tokens.shape == (n,) and abs(found.tokens[3:]).max() < small < abs(found.tokens[:3]).max()
        if found.nodes is not None:
            assert abs(found.nodes[:, 3:]).max() < 1e-12
        if found.edges is not None:
            assert abs(np.triu(found.edges, 1)).max() == 0, "an edge from a later position"
        if found.edges is not None and spec.startswith(("attattr", "gradient")):
            assert abs(found.edges[:, :, 3:]).max() < 1e-12, "a later position asks"
        if found.patterns is not None:
            late = found.patterns.source > 2
            assert abs(found.patterns.influence[late]).max(initial=0) < 1e-12
            assert abs(found.patterns.total[late]).max(initial=0) < 1e-12
            sizes = abs(found.patterns.influence)
            carried = found.patterns.positions[sizes > 1e-9]
            assert carried.size and carried.max() <= 2 and (np.diff(carried[..., 0], axis=1) >= 0).all(), "a path goes back"
        if found.heads is not None:
            (alone,) = METHODS.create(spec).explain(model, batch.rows(torch.tensor([0])))
            assert alone.heads is not None and alone.heads.any()


@pytest.mark.parametrize("family", FAMILIES)
def test_what_comes_after_the_target_changes_no_score(models, batches, family):
    """The prefix alone gets the same explanation as the prefix with other words behind it."""
    model = models(family)
    batch = in_the_middle(batches, model)
    ids = batch.ids.clone()
    ids[:, 3:] = torch.where(batch.attention_mask[:, 3:], 9, ids[:, 3:])
    for spec in (
        "influence-patterns:samples=3,baseline=pad",
        "attattr:steps=2",
        "head-taylor",
        "attention-flow",
        "leave-one-out:baseline=pad",
    ):
        method = METHODS.create(spec)
        for one, other in zip(
            method.explain(model, batch), method.explain(model, replace(batch, ids=ids, cache={})), strict=True
        ):
            for view in ("tokens", "nodes", "heads"):
                a, b = getattr(one, view), getattr(other, view)
                assert (a is None) == (b is None) and (a is None or abs(a - b).max() < 1e-12), (spec, view)


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_along_the_path_are_complete(models, batches, family):
    model = models(family)
    model.tokenizer.eos_token_id = 3  # the padding of Llama's family has zeros before any training
    batch = batches(model, [6, 5])
    token = 1 if family == "gpt2" else 3
    with torch.no_grad():
        change = value(model.outputs(batch), batch) - value(
            model.outputs(replace(batch, ids=0 * batch.ids + token, cache={})), batch
        )
    for method in (IntegratedGradients("gauss-legendre", 100, "pad"), Conductance("gauss-legendre", 60, "pad")):
        for found, n, whole in zip(method.explain(model, batch), batch.lengths, change.tolist(), strict=True):
            assert found.tokens is not None and found.nodes is not None and n == len(found.tokens)
            assert found.tokens.sum() == pytest.approx(whole, abs=2e-3 * (1 + abs(whole)))
            for layer in found.nodes:
                assert layer.sum() == pytest.approx(found.nodes[0].sum(), abs=2e-3 * (1 + abs(whole)))
            assert abs(found.nodes[-1, : n - 1]).max() < 1e-12, "at the top q reads the target alone"


@pytest.mark.parametrize("family", FAMILIES)
def test_influence_over_all_paths_sums_to_distributional_influence_and_search_is_near_the_best(models, batches, family):
    model = models(family)
    batch = batches(model, [4, 3])
    trace = path_trace(model, batch, samples=3, baseline="pad")
    found, wide = search(trace), search(trace, beam=16)
    gaps = optimality_gaps(trace, found)
    for row, n in enumerate(batch.lengths):
        for w in torch.nonzero(found.traced[row])[:, 0].tolist():
            word, sign = int(found.nodes[0][row, w, 0]), -1 if found.total[row, w] < 0 else 1
            walks = [(word, *middle, n - 1) for middle in itertools.product(range(n), repeat=2)]
            brute = torch.tensor([naive(trace, row, walk) for walk in walks], dtype=torch.float64)
            tolerance = 1e-8 * (1 + float(brute.abs().max()))
            assert brute.sum() == pytest.approx(float(trace.g[row, word]), abs=tolerance)
            assert torch.allclose(pattern_influence(trace, row, torch.tensor(walks)), brute, atol=tolerance)
            backwards = torch.tensor([any(a > b for a, b in itertools.pairwise(walk)) for walk in walks])
            assert not brute[backwards].any(), "no influence goes to an earlier position"
            best = float((brute * sign).max())
            assert float(wide.influence[row, w]) * sign == pytest.approx(best, abs=tolerance)
            assert float(gaps[row][w]) == pytest.approx(best - float(found.influence[row, w]) * sign, abs=tolerance)


@pytest.mark.parametrize("family", FAMILIES)
def test_rollout_and_flow_are_products_and_cuts_of_the_models_attention(models, batches, family):
    model = models(family)
    batch = batches(model, [4])
    layers = [0.5 * weights[0].mean(0).numpy() + 0.5 * np.eye(4) for weights in attention_maps(model, batch)]
    assert all(abs(np.triu(layer, 1)).max() == 0 for layer in layers)
    (rolled,) = METHODS.create("attention-rollout").explain(model, batch)
    assert rolled.tokens == pytest.approx((layers[2] @ layers[1] @ layers[0])[3], abs=1e-12)
    (flow,) = METHODS.create("attention-flow:normalise=false").explain(model, batch)
    cut = [most_through(layers, word) for word in range(4)]
    assert flow.nodes is not None and flow.nodes[0] == pytest.approx(cut, abs=1e-8)


def most_through(layers: list[np.ndarray], word: int) -> float:
    """The smallest cut between the target at the top and a word, among all ways to divide the nodes between them."""
    best = np.inf
    for sides in itertools.product((False, True), repeat=8):
        upper = [np.array([position == word for position in range(4)]) * False, *np.array(sides).reshape(2, 4), np.arange(4) == 3]
        into = layers[0][:, word] @ upper[1]
        within = sum(upper[depth + 1] @ layers[depth] @ ~upper[depth] for depth in (1, 2))
        best = min(best, float(into + within))
    return best


@pytest.mark.parametrize("family", ["gpt2", "mistral", "qwen3"])
@pytest.mark.parametrize("head", ["next", "label"])
def test_attattr_is_the_literal_algorithm_and_complete(models, batches, family, head):
    model = models(family, head)
    batch = batches(model, [5, 4])
    found = METHODS.create("attattr:steps=3,output=quantity").explain(model, batch)
    for layer in range(model.n_layers):
        total = torch.zeros(2, model.n_heads, 5, 5, dtype=torch.float64)
        for step in (1, 2, 3):
            clean, gradient = at_scale(model, batch, layer, step / 3)
            total += clean * gradient / 3
        for one, expected, n in zip(found, total, batch.lengths, strict=True):
            assert one.edges is not None
            assert abs(one.edges[layer] - expected[:, :n, :n].numpy()).max() < 1e-10 * (1 + float(expected.abs().max()))
    many = METHODS.create("attattr:steps=200,rule=gauss-legendre,output=quantity").explain(model, batch)
    for one in many:
        sums = one.edges.sum((1, 2, 3))
        change = [one.values[f"change/{layer}"] for layer in (1, 2, 3)]
        assert sums == pytest.approx(change, rel=1e-3, abs=1e-3) and abs(sums).max() > 0


def at_scale(model, batch, layer, alpha):
    """The attention of a layer and dF/dA at alpha A, through the whole model."""
    kept = {}

    def scaled(number, weights):
        if number != layer:
            return weights
        kept["clean"] = weights.detach()
        kept["at"] = (alpha * weights.detach()).requires_grad_(True)
        return kept["at"]

    with torch.enable_grad():
        (trace,) = model.run(Rows(batch, model.embed(model.words(batch), batch), edits={"attention": scaled}))
        q = value(model.readout(trace.site("hidden", model.n_layers), batch), batch).sum()
        (gradient,) = torch.autograd.grad(q, kept["at"])
    return kept["clean"], gradient
