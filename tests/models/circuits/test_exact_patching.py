"""Exchanged states and edges against the same exchanges by hand, and against circuits that lack one edge."""

from __future__ import annotations

import pytest
import torch

from flowgauge.models.batch import Rows
from flowgauge.models.circuits import exact_patching
from flowgauge.models.circuits.exact_patching import patched_edges, patched_states
from flowgauge.models.circuits.interchange import circuit_values
from flowgauge.models.circuits.passes import counterpart_of, graph_of
from flowgauge.models.outputs import value


def test_an_exchanged_edge_is_the_circuit_without_it(any_model, paired) -> None:
    batch, graph = paired(any_model), graph_of(any_model)
    edges = torch.from_numpy(graph.edges())
    without = edges & ~torch.eye(edges.numel(), dtype=torch.bool)[edges.flatten()].unflatten(1, graph.shape)
    q = value(any_model.outputs(batch), batch)
    lost = patched_edges(any_model, batch)
    wanted = q[:, None] - circuit_values(any_model, batch, without.expand(3, -1, -1, -1))
    torch.testing.assert_close(lost[:, edges], wanted, rtol=1e-8, atol=1e-10)
    assert not lost[:, ~edges].any() and lost.abs().max() > 1e-3


@pytest.mark.parametrize("into", ["text", "counterpart"])
def test_exchanged_states_by_hand(any_model, paired, into) -> None:
    batch = paired(any_model)
    other = counterpart_of(batch)
    base, far = (batch, other) if into == "text" else (other, batch)
    found = patched_states(any_model, batch, into)
    keep = {"hidden", "context"}
    (states,) = any_model.run(Rows(far, any_model.embed(any_model.words(far), far)), keep=keep)
    q = value(any_model.outputs(base), base)
    sign = 1 if into == "text" else -1

    def lost(site, layer, index):
        def edit(at, own):
            if at != layer:
                return own
            own = own.clone()
            own[index] = states.site(site, layer)[index]
            return own

        (trace,) = any_model.run(Rows(base, any_model.embed(any_model.words(base), base), edits={site: edit}))
        return sign * (q - value(any_model.readout(trace.site("hidden", 3), base), base))

    every = slice(None)
    for layer, position in ((0, 1), (1, 1), (2, 2), (3, 2), (3, 0)):
        torch.testing.assert_close(found.nodes[:, layer, position], lost("hidden", layer, (every, position)))
    for layer, head in ((0, 0), (1, 3), (2, 1)):
        torch.testing.assert_close(found.heads[:, layer, head], lost("context", layer, (every, every, head)))
    ends = (found.q, found.q_counterpart)
    for one, rows in zip(ends, (batch, other), strict=True):
        torch.testing.assert_close(one, value(any_model.outputs(rows), batch))


def test_parts_of_the_rows_give_what_all_give(any_model, paired, monkeypatch) -> None:
    batch = paired(any_model)
    states, edges = patched_states(any_model, batch, "text"), patched_edges(any_model, batch)
    monkeypatch.setattr(exact_patching, "MOST_NUMBERS", 2**10)
    torch.testing.assert_close(patched_states(any_model, batch, "text").nodes, states.nodes)
    torch.testing.assert_close(patched_edges(any_model, batch), edges)
