"""The search for patterns: conservation, exactness, greedy choices."""

from __future__ import annotations

import itertools

import pytest
import torch
from tests.methods.patterns.conftest import TOLERANCE
from tests.models.flow.test_chain_rule import at_only, whole_layer

from flowgauge.core.errors import UsageError
from flowgauge.methods.patterns.influence_patterns import InfluencePatterns
from flowgauge.methods.patterns.pattern_search import optimality_gaps, refine, search
from flowgauge.models.flow.chain_rule import (
    edge_scores,
    project,
    start_tangents,
)
from flowgauge.models.flow.graph import SKIP
from flowgauge.models.flow.pattern_influence import pattern_influence
from flowgauge.models.flow.trace import PathTrace, path_trace
from flowgauge.models.layers.base import Projected

FAMILIES = ["bert", "albert", "deberta-v2", "modernbert"]
"""One family of each kind of attention and layer among encoders."""


def naive(trace: PathTrace, row: int, positions, heads=None) -> float:
    """I(x, pi) by whole-layer derivatives, keeping one node a layer."""
    tangent = at_only(trace.start, positions[0])
    for layer in range(trace.model.n_layers):
        tangent = whole_layer(trace, layer, tangent, None if heads is None else heads[layer])
        tangent = at_only(tangent, positions[layer + 1])
    return float(trace.mean((tangent * trace.grad_hidden[-1]).sum((1, 2))[:, None])[row, 0])


def test_conservation_at_every_layer_of_the_search(trace):
    """sum_i I([prefix, h_i] -> q) = I([prefix] -> q): the sum over the next node of a pattern's edge scores is its own."""
    found = search(trace)
    nodes, words = found.nodes, found.traced.shape[1]
    tangent, expected = start_tangents(trace, nodes[0]), found.total
    for layer in range(3):
        moved = project(trace, layer, nodes[layer], tangent)
        scores = edge_scores(
            trace, layer, nodes[layer].flatten(1), tangent.flatten(1, 2), Projected(*(x.flatten(1, 2) for x in moved))
        )
        total = scores.heads.sum(1).transpose(1, 2).scatter_add(2, nodes[layer], scores.skip[..., None])
        live = found.traced
        assert torch.allclose(total.sum(2)[live], expected[live], atol=TOLERANCE)
        expected = total.gather(2, nodes[layer + 1])[..., 0]
        edge = (
            found.heads[layer].sum(-1)[..., 0, 0]
            + found.skips[layer].clamp(min=-1e9).where(~found.skips[layer].isinf(), 0)[..., 0, 0]
        )
        assert torch.allclose(edge[live], expected[live], atol=TOLERANCE)
        walked = torch.stack([pattern_prefix(trace, nodes, w, layer) for w in range(words)], 1)
        tangent = walked
    assert torch.allclose(expected[found.traced], found.influence[found.traced], atol=TOLERANCE)


def pattern_prefix(trace, nodes, word, layer):
    """The tangent of one word's prefix after `layer`, by whole-layer derivatives."""
    rows = torch.arange(len(trace.start))
    spread = [n[:, word, 0].repeat_interleave(trace.samples) for n in nodes]
    tangent = torch.zeros_like(trace.start)
    tangent[rows, spread[0]] = trace.start[rows, spread[0]]
    for step in range(layer + 1):
        full = whole_layer(trace, step, tangent)
        tangent = torch.zeros_like(full)
        tangent[rows, spread[step + 1]] = full[rows, spread[step + 1]]
    return tangent[rows, spread[layer + 1]][:, None]


@pytest.mark.parametrize("family", FAMILIES)
def test_all_patterns_sum_to_g_and_the_best_is_never_below_the_found_one(models, batches, family):
    model = models(family)
    batch = batches(model, [4, 3])
    trace = path_trace(model, batch, samples=4)
    found, wide = search(trace), search(trace, beam=16)
    gaps, wide_gaps = optimality_gaps(trace, found), optimality_gaps(trace, wide)
    for row, n in enumerate(batch.lengths):
        for w in torch.nonzero(found.traced[row])[:, 0].tolist():
            word, sign = int(found.nodes[0][row, w, 0]), -1 if found.total[row, w] < 0 else 1
            walks = [(word, *middle, 2) for middle in itertools.product(range(n), repeat=2)]
            brute = torch.tensor([naive(trace, row, walk) for walk in walks], dtype=torch.float64)
            assert brute.sum() == pytest.approx(float(trace.g[row, word]), abs=TOLERANCE)
            closed = pattern_influence(trace, row, torch.tensor(walks))
            assert torch.allclose(closed, brute, atol=TOLERANCE)
            best = float((brute * sign).max())
            assert float(found.influence[row, w]) * sign <= best + TOLERANCE
            assert float(gaps[row][w]) == pytest.approx(best - float(found.influence[row, w]) * sign, abs=TOLERANCE)
            assert float(wide.influence[row, w]) * sign == pytest.approx(best, abs=TOLERANCE)
            assert float(wide_gaps[row][w]) == pytest.approx(0, abs=TOLERANCE)


def greedy_heads(trace, row, positions, sign, free):
    """The published greedy choice of heads and skips by whole-layer derivatives."""
    chosen: list[int] = []
    for layer in range(trace.model.n_layers):
        options = [*range(trace.model.n_heads)] + ([SKIP] if positions[layer] == positions[layer + 1] else [])
        scores = {}
        for option in options:
            tangent = at_only(trace.start, positions[0])
            for step in range(layer + 1):
                fixed = option if step == layer else (None if free else chosen[step])
                tangent = at_only(whole_layer(trace, step, tangent, fixed), positions[step + 1])
            if free:
                scores[option] = float(trace.mean((tangent * trace.grad_hidden[layer + 1]).sum((1, 2))[:, None])[row, 0])
                continue
            for step in range(layer + 1, trace.model.n_layers):
                tangent = at_only(whole_layer(trace, step, tangent), positions[step + 1])
            scores[option] = float(trace.mean((tangent * trace.grad_hidden[-1]).sum((1, 2))[:, None])[row, 0])
        chosen.append(max(reversed(options), key=lambda o: scores[o] * sign))
    return chosen


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("free", [False, True])
def test_heads_and_skips_are_the_greedy_ones_and_their_influence_is_exact(models, batches, family, free):
    model = models(family)
    trace = path_trace(model, batches(model, [5, 4]), samples=4)
    found = search(trace)
    refined = refine(trace, found, free)
    for row in range(2):
        for w in torch.nonzero(found.traced[row])[:, 0].tolist():
            positions = [int(n[row, w, 0]) for n in found.nodes]
            heads = [int(c[row, w, 0, 0]) for c in refined.choice]
            sign = -1 if found.total[row, w] < 0 else 1
            assert heads == greedy_heads(trace, row, positions, sign, free)
            assert float(refined.influence[row, w]) == pytest.approx(naive(trace, row, positions, heads), abs=TOLERANCE)
            closed = pattern_influence(trace, row, torch.tensor([positions]), torch.tensor([heads]))
            assert float(closed[0]) == pytest.approx(float(refined.influence[row, w]), abs=TOLERANCE)
            assert all(head != SKIP or positions[i] == positions[i + 1] for i, head in enumerate(heads))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_bundle_of_all_nodes_carries_the_whole_influence(models, batches, family):
    model = models(family)
    trace = path_trace(model, batches(model, [5]), samples=4)
    everything = search(trace, k=5)
    assert torch.allclose(everything.influence, everything.total, atol=TOLERANCE)
    two = search(trace, k=2)
    for w in range(two.traced.shape[1]):
        walks = torch.tensor(list(itertools.product(*(n[0, w].tolist() for n in two.nodes))))
        assert pattern_influence(trace, 0, walks).sum() == pytest.approx(float(two.influence[0, w]), abs=TOLERANCE)
        refined = refine(trace, two)
        total = 0.0
        for a, b in itertools.product(range(2), range(2)):
            heads = [[int(refined.choice[0][0, w, a, 0]), int(refined.choice[1][0, w, b, a]), int(refined.choice[2][0, w, 0, b])]]
            walk = [[int(two.nodes[0][0, w, 0]), int(two.nodes[1][0, w, a]), int(two.nodes[2][0, w, b]), 2]]
            total += float(pattern_influence(trace, 0, torch.tensor(walk), torch.tensor(heads)))
        assert total == pytest.approx(float(refined.influence[0, w]), abs=TOLERANCE)


def test_more_nodes_than_tokens_are_refused(model, batch):
    with pytest.raises(UsageError, match=r"k=99 nodes a layer, but .* tokens: take a smaller k"):
        InfluencePatterns(samples=2, k=99).explain(model, batch)
