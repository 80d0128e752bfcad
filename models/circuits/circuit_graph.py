"""The graph that circuits are parts of: what writes to the residual stream, what reads it, and which stands before which.

Writers are the embedding, every head's output and every feed-forward block's output; readers are every head's query, key and
value inputs, every feed-forward block's input and the logits. The order of both is that of computation:

    writers    embedding, then for each layer its heads and its feed-forward block
    readers    for each layer its heads' queries, keys and values and its feed-forward block's input, then the logits
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

PARTS = ("query", "key", "value")
"""What of a head reads, in this order."""


class CircuitGraph(NamedTuple):
    """The writers and readers of a transformer.

    Attributes:
        layers: L.
        heads: Query heads of a layer, A.
        parallel: Whether each feed-forward block reads the residual before attention, so that the heads of its layer do not
            stand before it.
    """

    layers: int
    heads: int
    parallel: tuple[bool, ...] = ()

    @classmethod
    def of_shape(cls, shape: tuple[int, int]) -> CircuitGraph:
        """The graph with a given number of writers and readers.

        Raises:
            ValueError: No transformer has them.

        >>> CircuitGraph.of_shape((157, 445))[:2]
        (12, 12)
        """
        writers, readers = shape
        pairs, rest = divmod(readers - writers, 2)  # L A, since there are 1 + L A + L writers and 1 + 3 L A + L readers
        layers = writers - 1 - pairs
        if rest or layers < 1 or pairs < layers or pairs % layers:
            raise ValueError(f"no transformer has {writers} writers and {readers} readers.")
        return cls(layers, pairs // layers)

    @property
    def shape(self) -> tuple[int, int]:
        """The number of writers, 1 + L (A + 1), and of readers, 1 + L (3 A + 1)."""
        return 1 + self.layers * (self.heads + 1), 1 + self.layers * (3 * self.heads + 1)

    def head_writers(self, layer: int) -> slice:
        """The writers that are the heads of a layer."""
        start = 1 + layer * (self.heads + 1)
        return slice(start, start + self.heads)

    def feed_forward_writer(self, layer: int) -> int:
        """The writer that is the feed-forward block of a layer."""
        return self.head_writers(layer).stop

    def head_readers(self, layer: int) -> slice:
        """The readers that are the queries, then the keys, then the values of a layer's heads."""
        start = layer * (3 * self.heads + 1)
        return slice(start, start + 3 * self.heads)

    def feed_forward_reader(self, layer: int) -> int:
        """The reader that is the feed-forward block of a layer."""
        return self.head_readers(layer).stop

    def before(self, reader: int) -> Bool[np.ndarray, " writers"]:
        """Which writers stand before a reader."""
        layer, place = divmod(reader, 3 * self.heads + 1)
        count = 1 + layer * (self.heads + 1)
        if place == 3 * self.heads and layer < self.layers and not (self.parallel and self.parallel[layer]):
            count += self.heads
        return np.arange(self.shape[0]) < count

    def edges(self) -> Bool[np.ndarray, "writers readers"]:
        """True where there is an edge.

        >>> int(CircuitGraph(12, 12).edges().sum())  # of GPT-2 small, as Mueller et al. 2025 count them
        32491
        """
        return np.stack([self.before(reader) for reader in range(self.shape[1])], 1)

    def writers(self) -> tuple[str, ...]:
        """The name of each writer; layers and heads count from 1.

        >>> CircuitGraph(1, 2).writers()
        ('embedding', 'layer 1 head 1', 'layer 1 head 2', 'layer 1 feed-forward')
        """
        names = ["embedding"]
        for layer in range(1, self.layers + 1):
            names += [f"layer {layer} head {head}" for head in range(1, self.heads + 1)]
            names.append(f"layer {layer} feed-forward")
        return tuple(names)

    def readers(self) -> tuple[str, ...]:
        """The name of each reader.

        >>> CircuitGraph(1, 1).readers()
        ('layer 1 head 1 query', 'layer 1 head 1 key', 'layer 1 head 1 value', 'layer 1 feed-forward', 'logits')
        """
        names = []
        for layer in range(1, self.layers + 1):
            names += [f"layer {layer} head {head} {part}" for part in PARTS for head in range(1, self.heads + 1)]
            names.append(f"layer {layer} feed-forward")
        return (*names, "logits")

    def node_of_reader(self, reader: int) -> int | None:
        """The writer whose input a reader is; None for the logits."""
        layer, place = divmod(reader, 3 * self.heads + 1)
        if layer == self.layers:
            return None
        return self.feed_forward_writer(layer) if place == 3 * self.heads else self.head_writers(layer).start + place % self.heads
