"""One forward pass with every writer's output and every reader's input, in which each reader may have a stream of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ...core.errors import NotApplicable
from ..batch import Batch
from ..flow.flow_model import FlowModel
from ..flow.work import note_layer
from ..layers.base import Projected
from .circuit_graph import CircuitGraph

Stream = Float[Tensor, "rows tokens hidden"]
ByHead = Float[Tensor, "rows tokens heads hidden"]


def graph_of(model: FlowModel) -> CircuitGraph:
    """The writers and readers of a model."""
    return CircuitGraph(model.n_layers, model.n_heads, tuple(layer.parallel for layer in model.layers))


def counterpart_of(batch: Batch) -> Batch:
    """The batch with the tokens of the counterparts; what is asked stays the same.

    Raises:
        NotApplicable: An instance has no counterpart of as many tokens.
    """
    if batch.counterpart is None:
        raise NotApplicable(
            "it exchanges states between a text and its counterpart, and no text here has a counterpart: choose a task whose "
            "sentences have one (a file: its column `counterpart`; one text: --counterpart)."
        )
    missing = (batch.counterpart < 0).all(1).nonzero()[:, 0].tolist()
    if missing:
        raise NotApplicable(
            f"it exchanges states between a text and its counterpart, and {len(missing)} of {len(batch)} instances of a batch "
            "have none that this model splits into as many tokens, word by word, and all of whose words it knows; the first is "
            f"{batch.names[missing[0]]!r}."
        )
    return replace(batch, ids=batch.counterpart, counterpart=batch.ids, word_vectors=None, cache={})


@dataclass
class Written:
    """What the writers of one pass wrote, as far as it has got.

    Attributes:
        start: The embedding: hidden[0].
        heads: Each layer's heads, without the bias of the output projection.
        attended: Their sum with that bias, layer by layer.
        fed: Each layer's feed-forward block.
    """

    start: Stream
    heads: list[ByHead] = field(default_factory=list)
    attended: list[Stream] = field(default_factory=list)
    fed: list[Stream] = field(default_factory=list)


Reads = Callable[[int, Written], Projected]
"""What the queries, keys and values of each head of a layer are projected from (R, N, A, D), before the norm."""
Feeds = Callable[[int, Written], Stream]
"""What the feed-forward block of a layer reads; of layer L, what the logits are read from."""


def run_readers(model: FlowModel, batch: Batch, start: Stream, reads: Reads, feeds: Feeds) -> tuple[Written, Stream]:
    """Runs the layers with the inputs that every reader is given.

    Args:
        model: The transformer.
        batch: The instance of each row.
        start: hidden[0].
        reads: The inputs of a layer's heads, from what was written below.
        feeds: The input of a layer's feed-forward block, and of the logits.

    Returns:
        What was written, and what the logits read (R, N, D).
    """
    written, real = Written(start), batch.attention_mask
    for index, layer in enumerate(model.layers):
        note_layer(len(start))
        attention = layer.attention
        query, key, value = (layer.normed(part) for part in reads(index, written))
        projected = attention.each(query, key, value, batch.positions)
        context = attention.context(*projected, attention.mask(real))
        written.heads.append(attention.outputs(context))
        written.attended.append(layer.attention.attended(context))
        written.fed.append(layer.fed(feeds(index, written)))
    return written, feeds(model.n_layers, written)


class PlainStream:
    """The residual stream that all readers share, as the model has it; keeps what each reader read.

    Args:
        model: The transformer.
    """

    def __init__(self, model: FlowModel) -> None:
        self.model = model
        self.residual: list[Stream] = []
        self.middle: list[Stream] = []
        self.read: list[Projected] = []
        self.fed: list[Stream] = []

    def reads(self, layer: int, written: Written) -> Projected:
        """The stream, once for the query, the key and the value of each head: tensors of their own, for gradients."""
        self.residual.append(self._residual(layer, written))
        copies = self.residual[-1].unsqueeze(-2).expand(-1, -1, self.model.n_heads, -1)
        self.read.append(Projected(*(copies.view_as(copies) for _ in range(3))))
        return self.read[-1]

    def feeds(self, layer: int, written: Written) -> Stream:
        """The stream before the feed-forward block or the logits, as a tensor of its own."""
        if layer == self.model.n_layers:
            self.residual.append(self._residual(layer, written))
            stream = self.residual[-1]
        else:
            block = self.model.layers[layer]
            self.middle.append(block.merged(self.residual[layer], written.attended[layer]))
            stream = self.residual[layer] if block.parallel else self.middle[layer]
        self.fed.append(stream.view_as(stream))
        return self.fed[-1]

    def _residual(self, layer: int, written: Written) -> Stream:
        return self.model.layers[layer - 1].left(self.middle[-1], written.fed[-1]) if layer else written.start


def run_plain(model: FlowModel, batch: Batch, start: Stream) -> tuple[Written, PlainStream]:
    """Runs the model as it is, from hidden[0].

    Args:
        model: The transformer.
        batch: The instance of each row.
        start: hidden[0] of each row.

    Returns:
        What the writers wrote and the readers read.
    """
    stream = PlainStream(model)
    written, _ = run_readers(model, batch, start, stream.reads, stream.feeds)
    return written, stream


def repeated(batch: Batch, times: int) -> tuple[Batch, Int[Tensor, " rows"]]:
    """The batch with every instance repeated, and the instance of each row."""
    row = torch.arange(len(batch), device=batch.ids.device).repeat_interleave(times)
    return batch.rows(row), row
