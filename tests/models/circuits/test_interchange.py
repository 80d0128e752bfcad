"""The model reduced to a circuit against runs that are put together by hand."""

from __future__ import annotations

import numpy as np
import torch

from flowgauge.models.circuits.circuit_graph import CircuitGraph
from flowgauge.models.circuits.interchange import circuit_values, largest_edges
from flowgauge.models.circuits.passes import counterpart_of, graph_of
from flowgauge.models.outputs import value


def test_all_edges_are_the_model_and_no_edge_the_model_on_the_counterpart(any_model, paired) -> None:
    batch = paired(any_model)
    edges = torch.from_numpy(graph_of(any_model).edges())
    kept = torch.stack([edges, torch.zeros_like(edges)]).expand(len(batch), -1, -1, -1)
    whole, empty = (value(any_model.outputs(rows), batch) for rows in (batch, counterpart_of(batch)))
    assert (whole - empty).abs().max() > 1e-3
    torch.testing.assert_close(circuit_values(any_model, batch, kept), torch.stack([whole, empty], 1), rtol=1e-10, atol=1e-10)


def test_without_the_edges_of_the_embedding_and_with_all_others_nothing_of_the_text_is_left(any_model, paired) -> None:
    batch = paired(any_model)
    kept = torch.ones(len(batch), 1, *graph_of(any_model).shape, dtype=torch.bool)
    kept[:, :, 0] = False
    empty = value(any_model.outputs(counterpart_of(batch)), batch)
    torch.testing.assert_close(circuit_values(any_model, batch, kept)[:, 0], empty, rtol=1e-10, atol=1e-10)


def test_edges_to_blocks_that_no_kept_edge_leaves_change_nothing(any_model, paired) -> None:
    batch, graph = paired(any_model), graph_of(any_model)
    dead = torch.zeros(graph.shape, dtype=torch.bool)
    dead[:, : graph.shape[1] - 1] = True  # all but those to the logits
    empty = value(any_model.outputs(counterpart_of(batch)), batch)
    values = circuit_values(any_model, batch, dead.expand(len(batch), 1, -1, -1))
    torch.testing.assert_close(values[:, 0], empty, rtol=1e-10, atol=1e-10)


def test_the_largest_edges_are_kept_first_ones_first() -> None:
    graph = CircuitGraph(1, 1)
    scores = torch.tensor([[1.0, 2.0, 2.0, 0.0, -1.0], [9.0, 9.0, 9.0, 5.0, 3.0], [9.0, 9.0, 9.0, 9.0, 4.0]])
    edges = graph.edges()
    order = [(1, 3), (2, 4), (1, 4), (0, 1), (0, 2), (0, 0), (0, 3), (0, 4)]
    assert len(order) == edges.sum()
    for count, circuit in enumerate(largest_edges(graph, scores, list(range(9)))):
        wanted = np.zeros(graph.shape, bool)
        for edge in order[:count]:
            wanted[edge] = True
        assert np.array_equal(circuit.numpy(), wanted), count
