"""The influence of given patterns: against whole-layer derivatives, wherever tangents and gradients meet, and what is shared."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from tests.models.flow.test_chain_rule import at_only, whole_layer

from flowgauge.models.flow import pattern_influence as module
from flowgauge.models.flow.graph import ALL_HEADS, SKIP
from flowgauge.models.flow.pattern_influence import _Paths, pattern_influence
from flowgauge.models.flow.trace import PathTrace, path_trace
from flowgauge.models.memory import within_memory

FAMILIES = ["bert", "gpt2", "gemma2", "deberta-v2"]
N = 5


def drawn(count: int, target: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    """Paths of three words that are continued alike, with heads and skips, some of which join two positions."""
    rng = np.random.default_rng(0)
    middle = rng.integers(0, N, (count, 2))
    middle[:2] = target
    heads = rng.integers(SKIP, 4, (count, 3))
    heads[0, 1:] = SKIP
    walks = np.concatenate([[[word, *nodes, target] for nodes in middle] for word in range(3)])
    return torch.from_numpy(walks), torch.from_numpy(np.concatenate([heads] * 3))


def by_whole_layers(trace: PathTrace, positions: list[int], heads: list[int] | None) -> float:
    """I(x, pi) by whole-layer derivatives, keeping one node a layer."""
    tangent = at_only(trace.start, positions[0])
    for layer, to in enumerate(positions[1:]):
        tangent = at_only(whole_layer(trace, layer, tangent, None if heads is None else heads[layer]), to)
    return float(trace.mean((tangent * trace.grad_hidden[-1]).sum((1, 2))[:, None])[0, 0])


@pytest.mark.parametrize("family", FAMILIES)
def test_influence_is_that_of_whole_layers_wherever_beginnings_and_endings_meet(models, batches, family, monkeypatch):
    model = models(family)
    trace = path_trace(model, batches(model, [N]), samples=3, baseline="zero")
    positions, heads = drawn(6, int(trace.batch.target[0]))
    for codes in (None, heads):
        walks = [None] * len(positions) if codes is None else codes.tolist()
        brute = [by_whole_layers(trace, walk, units) for walk, units in zip(positions.tolist(), walks, strict=True)]
        largest = max(map(abs, brute))
        assert largest > 0
        for layer in range(3):
            monkeypatch.setattr(module, "meeting_layer", lambda *_, layer=layer: layer)
            found = pattern_influence(trace, 0, positions, codes)
            torch.testing.assert_close(found, torch.tensor(brute, dtype=found.dtype), rtol=0, atol=min(1e-12, 1e-8 * largest))


def test_heads_and_the_skip_add_up_to_the_whole_edge(models, batches):
    model = models("bert")
    trace = path_trace(model, batches(model, [N]), samples=3)
    path = torch.tensor([[1, 1, 3, 2]])
    codes = torch.cartesian_prod(*[torch.arange(SKIP, model.n_heads)] * 3)
    parts = pattern_influence(trace, 0, path.expand(len(codes), 4), codes)
    torch.testing.assert_close(parts.sum(), pattern_influence(trace, 0, path)[0], rtol=0, atol=1e-12)
    open_edges = pattern_influence(trace, 0, path, torch.full((1, 3), ALL_HEADS))
    torch.testing.assert_close(open_edges, pattern_influence(trace, 0, path), rtol=0, atol=0)


def test_little_memory_and_small_steps_change_nothing_but_rounding(models, batches, monkeypatch):
    model = models("bert")
    trace = path_trace(model, batches(model, [N]), samples=3)
    positions, heads = drawn(40)
    whole = pattern_influence(trace, 0, positions, heads)
    monkeypatch.setattr(module, "AT_ONCE", 8)
    monkeypatch.setattr(module, "KEPT", 1e-3)
    sizes = []

    def counted(paths: torch.Tensor, edges: torch.Tensor) -> _Paths:
        sizes.append(len(paths))
        return _Paths(paths, edges)

    monkeypatch.setattr(module, "_Paths", counted)
    with within_memory(2**26):
        found = pattern_influence(trace, 0, positions, heads)
    assert len(sizes) > 1 and sum(sizes) == len(torch.cat([positions, heads], 1).unique(dim=0))
    torch.testing.assert_close(found, whole, rtol=0, atol=1e-12)


def test_equal_paths_have_equal_numbers_in_any_order(models, batches):
    model = models("bert")
    trace = path_trace(model, batches(model, [N]), samples=3)
    positions, heads = drawn(30)
    once = pattern_influence(trace, 0, positions, heads)
    order = torch.randperm(len(once), generator=torch.Generator().manual_seed(0)).repeat(2)
    assert torch.equal(pattern_influence(trace, 0, positions[order], heads[order]), once[order])


def test_no_patterns_have_no_influences(models, batches):
    model = models("bert")
    trace = path_trace(model, batches(model, [N]), samples=3)
    positions, heads = drawn(1)
    for codes in (None, heads[:0]):
        none = pattern_influence(trace, 0, positions[:0], codes)
        assert none.shape == (0,) and none.dtype == pattern_influence(trace, 0, positions).dtype


def test_words_that_are_continued_alike_share_the_endings():
    """Three words cost one step of a gradient an ending, and no step of a tangent, where endings are fewer than beginnings."""
    positions, heads = drawn(40)
    one, three = (_Paths(positions[:n], heads[:n]) for n in (40, 120))
    counts = [[len(b.node) for b in paths.endings] for paths in (one, three)]
    assert counts[0][1:] == counts[1][1:] and counts[1][0] == 3 * counts[0][0]
    assert three.layer == 0 and len(three.beginnings[0].node) == 3
    tails = torch.cat([heads[:40, 1:], positions[:40, 1:]], 1)
    assert counts[0][1] == len(tails.unique(dim=0))
    walks = torch.cat([positions, heads], 1)
    for depth in range(4):
        begun = torch.cat([positions[:, : depth + 1], heads[:, :depth]], 1)
        assert len(three.beginnings[depth].node) == len(begun.unique(dim=0))
    assert counts[1][0] == len(walks.unique(dim=0))
