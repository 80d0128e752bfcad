"""Traces in pieces: the same sites, gradients and means as those of the whole trace, whatever the memory budget."""

from __future__ import annotations

import pytest
import torch

from flowgauge.models import memory
from flowgauge.models.flow import split_trace
from flowgauge.models.flow.pattern_influence import pattern_influence
from flowgauge.models.flow.trace import PathTrace, path_trace
from flowgauge.models.memory import layer_bytes, within_memory

SITES = ("attention", "response", "context", "skip", "grad_context", "grad_skip")


def split(model, batch, states: bool = True, pieces: int = 3, **settings) -> PathTrace:
    """The trace with a budget that leaves room for the states or not, and for a third of the samples' sites."""
    each = len(batch) * layer_bytes(model, batch.ids.shape[1])
    room = settings.get("samples", 50) // pieces * each / split_trace.PIECE + 1
    with pytest.MonkeyPatch.context() as patch, within_memory(int(room)):
        patch.setattr(split_trace, "STATES", 1e9 if states else 0)
        patch.setattr("flowgauge.models.flow.trace.WHOLE", 0)
        return path_trace(model, batch, **settings)


@pytest.mark.parametrize("states", [True, False], ids=["kept", "recomputed"])
@pytest.mark.parametrize("family", ["bert", "gpt2", "qwen3", "deberta-v2"])
def test_pieces_have_the_sites_of_the_whole_trace(models, batches, family, states):
    model = models(family)
    lengths, settings = [7, 5], {"samples": 6, "baseline": "zero"}
    whole = path_trace(model, batches(model, lengths), **settings)
    trace = split(model, batches(model, lengths), states, **settings)
    for name in ("delta", "g", "completeness", "q", "q_baseline"):
        torch.testing.assert_close(getattr(trace, name), getattr(whole, name), rtol=1e-9, atol=1e-10)
    pieces, start = 0, 0
    for piece in trace.pieces():
        rows = torch.cat([torch.arange(start, start + piece.samples) + 6 * row for row in range(2)])
        real = whole.rows.attention_mask[rows]
        torch.testing.assert_close(piece.start, whole.start[rows])
        for layer in range(model.n_layers):
            for name in SITES:
                ours, all_rows = getattr(piece, name)[layer], getattr(whole, name)[layer]
                axis = 2 if name in ("attention", "response") else 1
                keep = real if axis == 1 else real[:, None].expand(-1, ours.shape[1], -1)
                torch.testing.assert_close(ours[keep], all_rows[rows][keep], rtol=1e-8, atol=1e-9)
            assert (piece.response[layer] is piece.attention[layer]) == (whole.response[layer] is whole.attention[layer])
        for ours, all_rows in zip(piece.grad_hidden, whole.grad_hidden, strict=True):
            torch.testing.assert_close(ours[real], all_rows[rows][real], rtol=1e-8, atol=1e-9)
        start, pieces = start + piece.samples, pieces + 1
    assert pieces == 3 and start == 6


def test_means_over_pieces_add_up(models, batches):
    model = models("bert")
    whole = path_trace(model, batches(model, [6, 4]), samples=6)
    trace = split(model, batches(model, [6, 4]), samples=6)
    means = torch.stack([piece.mean(piece.context[1]) for piece in trace.pieces()]).sum(0)
    torch.testing.assert_close(means, whole.mean(whole.context[1]))
    positions = torch.tensor([[0, 1, 2, 2], [3, 3, 0, 2]])
    for row in (0, 1):
        assert len(trace.one(row).batch) == 1
        torch.testing.assert_close(pattern_influence(trace, row, positions), pattern_influence(whole, row, positions))


def test_one_trace_at_a_time_keeps_its_states(models, batches):
    model = models("bert")
    first, second = (split(model, batches(model, [6], seed=seed), samples=4, pieces=2) for seed in (0, 1))
    kept = lambda trace: [part._states is not None for part in trace.parts]  # noqa: E731
    assert kept(second) == [True, True] and kept(first) == [False, False]
    assert sum(len(piece.grad_hidden[0]) for piece in first.pieces()) == 4
    assert kept(first) == [True, True] and kept(second) == [False, False]


def test_a_trace_that_fits_is_whole(models, batches):
    model = models("bert")
    trace = path_trace(model, batches(model, [6, 4]), samples=3)
    assert list(trace.pieces()) == [trace] and memory.memory_budget() == memory.memory_bytes(memory.DEFAULT)
