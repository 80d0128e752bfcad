"""The first-order effect of every edge: the gradient at its reader, carried back along the residual stream to its writer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.func import vjp, vmap

from ..batch import Batch
from ..flow.flow_model import FlowModel
from ..memory import affordable, gradient_bytes
from ..outputs import value
from .passes import PlainStream, Written, counterpart_of, graph_of, repeated, run_plain

MOST_NUMBERS, WRITTEN, COPIES = 2**26, 5, 6
"""Gradients of all readers that are held at a time; tensors of every writer's output beside them (text, counterpart, difference,
point and its gradient); and how many numbers are at work for each gradient that is carried."""
Circuit = Float[Tensor, "batch writers readers"]


class EdgeEffects(NamedTuple):
    """First-order effects, in units of q; positive where the text's own value supports q.

    Attributes:
        circuit: Of every edge, 0 where there is none (B, W, R).
        nodes: Of hidden[l][i] (B, L + 1, N).
        q: q of the text (B,).
        q_counterpart: q of the counterpart, for the same answers (B,).
    """

    circuit: Circuit
    nodes: Float[Tensor, "batch depths tokens"]
    q: Float[Tensor, " batch"]
    q_counterpart: Float[Tensor, " batch"]


def edge_effects(model: FlowModel, batch: Batch, points: Float[Tensor, " points"]) -> EdgeEffects:
    """The mean first-order effect of giving each reader a writer's value on the text in place of that on the counterpart.

    effect(w -> r) = <w(x) - w(x'), mean_s J_s(w -> r)^T dq/dr_s>, summed over positions. r_s is what the reader reads at the
    point h' + alpha_s (h - h') between the embeddings of counterpart and text, and J_s the derivative of the reader's own copy of
    the residual stream by what the writer writes: the identity in a stream without norms, else the product of the norms'
    derivatives.

    Args:
        model: The transformer.
        batch: The instances.
        points: alpha_s, from 0 (the counterpart) to 1 (the text).

    Raises:
        NotApplicable: An instance has no counterpart.
    """
    counterpart_of(batch)
    writers, readers = graph_of(model).shape
    state, tokens = batch.ids.shape[1] * model.width, batch.ids.shape[1]
    each = (readers + WRITTEN * writers) * state * torch.finfo(model.dtype).bits // 8 + gradient_bytes(model, tokens)
    most = affordable(each, 1 / 2, max(1, MOST_NUMBERS // (readers * state)))
    parts = torch.arange(len(batch), device=batch.ids.device).split(max(1, most // len(points)))
    effects = [_mean_effects(model, batch.rows(part), points.split(most)) for part in parts]
    return EdgeEffects(*(torch.cat(part) for part in zip(*effects, strict=True)))


def _mean_effects(model: FlowModel, batch: Batch, points: Sequence[Tensor]) -> EdgeEffects:
    """The mean over all points, some of them at a time."""
    parts = [_effects(model, batch, some) for some in points]
    if len(parts) == 1:
        return parts[0]
    count = sum(map(len, points))
    circuit, nodes = (
        torch.stack([getattr(part, name) * (len(some) / count) for part, some in zip(parts, points, strict=True)]).sum(0)
        for name in ("circuit", "nodes")
    )
    return parts[0]._replace(circuit=circuit, nodes=nodes)


def _effects(model: FlowModel, batch: Batch, points: Tensor) -> EdgeEffects:
    other = counterpart_of(batch)
    with torch.no_grad():
        start, start_other = (model.embed(model.words(rows), rows) for rows in (batch, other))
        clean, clean_stream = run_plain(model, batch, start)
        flipped, flipped_stream = run_plain(model, other, start_other)
        ends = [value(model.readout(stream.fed[-1], batch), batch) for stream in (clean_stream, flipped_stream)]
    rows, row = repeated(batch, len(points))
    alpha = points.to(start).repeat(len(batch))[:, None, None]
    between = (start_other[row] + alpha * (start - start_other)[row]).requires_grad_(True)
    with torch.enable_grad():
        written, stream = run_plain(model, rows, between)
        q = value(model.readout(stream.fed[-1], rows), rows)
        readers = [*(part for read in stream.read for part in read), *stream.fed]
        grads = torch.autograd.grad(q.sum(), [*readers, *stream.residual])
    with torch.no_grad():
        count, n_layers = len(readers), model.n_layers
        deltas = _differences(clean, flipped)
        circuit = _carried_back(model, stream, written, grads[:count], deltas, row)
        hidden = zip(clean_stream.residual, flipped_stream.residual, grads[count:], strict=True)
        nodes = torch.stack([((a - b)[row] * grad).sum(-1) for a, b, grad in hidden], 1)
    mean = lambda x: x.unflatten(0, (len(batch), len(points))).mean(1)  # noqa: E731
    assert nodes.shape[1] == n_layers + 1
    return EdgeEffects(mean(circuit), mean(nodes), *ends)


def _differences(clean: Written, flipped: Written) -> Written:
    """What each writer wrote on the text minus what it wrote on the counterpart."""
    pairs = lambda name: zip(getattr(clean, name), getattr(flipped, name), strict=True)  # noqa: E731
    lists = {name: [a - b for a, b in pairs(name)] for name in ("heads", "attended", "fed")}
    return Written(clean.start - flipped.start, **lists)


def _carried_back(
    model: FlowModel, stream: PlainStream, written: Written, grads: tuple[Tensor, ...], deltas: Written, row: Tensor
) -> Circuit:
    """Effects of every edge at every point, by walks from the logits down that each carry the gradients of some readers.

    Args:
        model: The transformer.
        stream: What the readers read at each point.
        written: What the writers wrote at each point.
        grads: dq/dr of each layer's queries, keys and values by head, then of each layer's feed-forward block and the logits.
        deltas: Differences of each writer (B, ...).
        row: The instance of each point's row.
    """
    graph = graph_of(model)
    circuit = written.start.new_zeros(len(row), *graph.shape)
    start = written.start
    most = affordable(COPIES * start.numel() * start.element_size(), 1 / 4)
    for first in range(0, graph.shape[1], most):
        _carry(model, stream, written, grads, deltas, row, circuit[..., first : first + most], first)
    return circuit


def _carry(
    model: FlowModel,
    stream: PlainStream,
    written: Written,
    grads: tuple[Tensor, ...],
    deltas: Written,
    row: Tensor,
    circuit: Float[Tensor, "rows writers some"],
    low: int,
) -> None:
    """Fills the columns of some readers, from `low` on; readers are ordered by the layer that they read in.

    The gradient of a reader joins the walk where it reads, and what lies above it has no edge to it.
    """
    graph, layers = graph_of(model), model.layers
    read, fed = grads[: 3 * len(layers)], grads[3 * len(layers) :]
    carried = written.start.new_zeros(circuit.shape[-1], *written.start.shape)
    high = low + len(carried)

    def join(readers: slice, own: Tensor) -> None:
        """Puts the gradients of a layer's readers onto the walk, as far as they are among these."""
        first, last = max(readers.start, low), min(readers.stop, high)
        if first < last:
            carried[first - low : last - low] = own[first - readers.start : last - readers.start]

    def from_on(reader: int) -> slice:
        return slice(max(reader - low, 0), None)

    join(slice(graph.shape[1] - 1, graph.shape[1]), fed[-1][None])
    for index in reversed(range(len(layers))):
        layer, heads, own = layers[index], graph.head_readers(index), graph.feed_forward_reader(index)
        above = heads.stop + 1
        if above < high:
            on = from_on(above)
            to_middle, to_fed = _back(layer.left, stream.middle[index], written.fed[index], carried[on])
            circuit[:, graph.feed_forward_writer(index), on] = torch.einsum("rnd,mrnd->rm", deltas.fed[index][row], to_fed)
            carried[on] = to_middle
        if not layer.parallel:
            join(slice(own, own + 1), fed[index][None])
        first = above if layer.parallel else own
        if first < high:
            on = from_on(first)
            to_skip, to_attended = _back(layer.merged, stream.residual[index], written.attended[index], carried[on])
            circuit[:, graph.head_writers(index), on] = torch.einsum("rnad,mrnd->ram", deltas.heads[index][row], to_attended)
            carried[on] = to_skip
        if layer.parallel:
            join(slice(own, own + 1), fed[index][None])
        if heads.start < high:
            join(heads, torch.stack(read[3 * index : 3 * index + 3]).movedim(3, 1).flatten(0, 1))  # query, key, value by head
    circuit[:, 0] = torch.einsum("rnd,mrnd->rm", deltas.start[row], carried)


def _back(join: Callable[[Tensor, Tensor], Tensor], residual: Tensor, block: Tensor, grads: Tensor) -> tuple[Tensor, Tensor]:
    """Gradients of the residual and of the block's output from those of what they are joined to, of every reader at once."""
    to_residual, to_block = vmap(vjp(join, residual.detach(), block.detach())[1])(grads)
    return to_residual, to_block
