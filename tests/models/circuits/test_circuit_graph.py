"""Writers and readers, and which stands before which."""

from __future__ import annotations

import numpy as np
import pytest

from flowgauge.models.circuits.circuit_graph import CircuitGraph


def test_writers_and_readers_are_where_their_names_say() -> None:
    graph = CircuitGraph(3, 2)
    writers, readers = graph.writers(), graph.readers()
    assert (len(writers), len(readers)) == graph.shape
    for layer in range(3):
        assert writers[graph.head_writers(layer)] == tuple(f"layer {layer + 1} head {h}" for h in (1, 2))
        assert writers[graph.feed_forward_writer(layer)] == readers[graph.feed_forward_reader(layer)]
        own = readers[graph.head_readers(layer)]
        assert own == tuple(f"layer {layer + 1} head {h} {part}" for part in ("query", "key", "value") for h in (1, 2))
    for reader, name in enumerate(readers[:-1]):
        node = graph.node_of_reader(reader)
        assert node is not None and name.startswith(writers[node])
    assert graph.node_of_reader(len(readers) - 1) is None


def test_a_reader_has_an_edge_from_every_writer_before_it_and_from_no_other() -> None:
    graph = CircuitGraph(2, 2)
    edges = graph.edges()
    into = {name: edges[:, r].nonzero()[0].tolist() for r, name in enumerate(graph.readers())}
    assert into["layer 1 head 2 key"] == [0]
    assert into["layer 1 feed-forward"] == [0, 1, 2]
    assert into["layer 2 head 1 value"] == [0, 1, 2, 3]
    assert into["layer 2 feed-forward"] == [0, 1, 2, 3, 4, 5]
    assert into["logits"] == list(range(7))


def test_a_parallel_feed_forward_block_does_not_read_the_heads_of_its_layer() -> None:
    plain, parallel = CircuitGraph(2, 3).edges(), CircuitGraph(2, 3, (True, False)).edges()
    different = np.argwhere(plain != parallel)
    graph = CircuitGraph(2, 3)
    assert different.tolist() == [[writer, graph.feed_forward_reader(0)] for writer in range(1, 4)]


@pytest.mark.parametrize(("layers", "heads"), [(1, 1), (2, 5), (12, 12), (24, 3)])
def test_the_shape_says_how_many_layers_and_heads_there_are(layers: int, heads: int) -> None:
    assert CircuitGraph.of_shape(CircuitGraph(layers, heads).shape) == CircuitGraph(layers, heads)


@pytest.mark.parametrize("shape", [(2, 2), (3, 6), (1, 1), (10, 3), (0, 0), (6, 12)])
def test_other_shapes_are_no_transformer_s(shape: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="no transformer has"):
        CircuitGraph.of_shape(shape)
