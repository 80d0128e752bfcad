"""The model reduced to a circuit: along every other edge the reader receives what the writer wrote on the counterpart."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ..batch import Batch
from ..flow.flow_model import FlowModel
from ..layers.base import Projected
from ..outputs import value
from .circuit_graph import CircuitGraph
from .passes import Stream, Written, counterpart_of, graph_of, repeated, run_plain, run_readers

MOST_NUMBERS = 2**24
"""Streams of one layer's readers that are held at a time."""


@torch.no_grad()
def circuit_values(
    model: FlowModel, batch: Batch, kept: Bool[Tensor, "batch circuits writers readers"]
) -> Float[Tensor, "batch circuits"]:
    """q of each instance under each circuit: edges that are not kept carry the counterpart's values.

    Every reader has a residual stream of its own, with the norms that stand between its writers, so that no statistics are
    frozen: with every edge kept the model runs as it is, with none it runs as on the counterpart.

    Args:
        model: The transformer.
        batch: The instances, with counterparts.
        kept: The edges of each circuit; what it says where there is no edge has no effect.

    Raises:
        NotApplicable: An instance has no counterpart.
    """
    other, count = counterpart_of(batch), kept.shape[1]
    flipped, _ = run_plain(model, other, model.embed(model.words(other), other))
    start = model.embed(model.words(batch), batch)
    rows, row = repeated(batch, count)
    per_row = 3 * model.n_heads * batch.ids.shape[1] * model.width
    values = []
    for part in torch.arange(len(row), device=row.device).split(max(1, MOST_NUMBERS // per_row)):
        streams = MixedStreams(model, kept.flatten(0, 1)[part].to(start.dtype), flipped, row[part])
        some = rows.rows(part)
        _, last = run_readers(model, some, start[row[part]], streams.reads, streams.feeds)
        values.append(value(model.readout(last, some), some))
    return torch.cat(values).unflatten(0, (len(batch), count))


class MixedStreams:
    """The stream of every reader: writers as they are now along kept edges, and as on the counterpart along the others.

    Args:
        model: The transformer.
        kept: 1 at kept edges (R, W, readers).
        flipped: What the writers wrote on the counterparts (B, ...).
        row: The instance of each row.
    """

    def __init__(
        self, model: FlowModel, kept: Float[Tensor, "rows writers readers"], flipped: Written, row: Int[Tensor, " rows"]
    ):
        self.model, self.kept, self.graph = model, kept, graph_of(model)
        self.start = flipped.start[row]
        self.heads = [part[row] for part in flipped.heads]
        self.attended = [part[row] for part in flipped.attended]
        self.fed = [part[row] for part in flipped.fed]

    def reads(self, layer: int, written: Written) -> Projected:
        """The streams of the queries, keys and values of a layer's heads."""
        streams = self.residual(layer, self.graph.head_readers(layer), written)
        return Projected(*streams.movedim(1, 2).unflatten(2, (3, -1)).unbind(2))

    def feeds(self, layer: int, written: Written) -> Stream:
        """The stream of a layer's feed-forward block, or of the logits."""
        reader = self.graph.feed_forward_reader(layer) if layer < self.model.n_layers else self.graph.shape[1] - 1
        own = slice(reader, reader + 1)
        residual = self.residual(layer, own, written)
        if layer < self.model.n_layers and not self.model.layers[layer].parallel:
            residual = self.model.layers[layer].merged(residual, self.attended_by(layer, own, written))
        return residual[:, 0]

    def residual(self, layer: int, readers: slice, written: Written) -> Float[Tensor, "rows readers tokens hidden"]:
        """hidden[layer] as some readers see it."""
        stream = self._mixed(0, self.start, written.start, readers)
        for below in range(layer):
            block = self.model.layers[below]
            middle = block.merged(stream, self.attended_by(below, readers, written))
            fed = self._mixed(self.graph.feed_forward_writer(below), self.fed[below], written.fed[below], readers)
            stream = block.left(middle, fed)
        return stream

    def attended_by(self, layer: int, readers: slice, written: Written) -> Float[Tensor, "rows readers tokens hidden"]:
        kept = self.kept[:, self.graph.head_writers(layer), readers]
        change = torch.einsum("ram,rnad->rmnd", kept, written.heads[layer] - self.heads[layer])
        return self.attended[layer][:, None] + change

    def _mixed(self, writer: int, flipped: Stream, now: Stream, readers: slice) -> Float[Tensor, "rows readers tokens hidden"]:
        return flipped[:, None] + self.kept[:, writer, readers, None, None] * (now - flipped)[:, None]


def largest_edges(
    graph: CircuitGraph, scores: Float[Tensor, "writers readers"], counts: list[int]
) -> Bool[Tensor, "circuits writers readers"]:
    """The circuits of the edges with the largest scores, first ones first on ties; those of no edge where a count is 0."""
    edges = torch.from_numpy(graph.edges()).to(scores.device).flatten()
    order = scores.flatten()[edges].argsort(descending=True, stable=True)
    place = edges.nonzero()[:, 0][order]
    circuits = torch.zeros(len(counts), edges.numel(), dtype=torch.bool, device=scores.device)
    for circuit, count in zip(circuits, counts, strict=True):
        circuit[place[:count]] = True
    return circuits.unflatten(1, graph.shape)
