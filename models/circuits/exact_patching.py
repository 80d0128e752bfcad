"""What q loses when one edge, one head's output or one hidden state has the counterpart's value, by a run for each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ..batch import Batch, Edit, Rows
from ..flow.flow_model import FlowModel
from ..outputs import value
from .interchange import MixedStreams
from .passes import Written, counterpart_of, graph_of, repeated, run_plain

MOST_NUMBERS = 2**23
"""Hidden states of the rows that run together."""
Into = Literal["text", "counterpart"]


class PatchedStates(NamedTuple):
    """What single states are worth, in units of q; positive where the text's own value supports q.

    Attributes:
        nodes: Of hidden[l][i] (B, L + 1, N).
        heads: Of each head's output at all positions (B, L, A).
        q: q of the text (B,).
        q_counterpart: q of the counterpart, for the same answers (B,).
    """

    nodes: Float[Tensor, "batch depths tokens"]
    heads: Float[Tensor, "batch layers heads"]
    q: Float[Tensor, " batch"]
    q_counterpart: Float[Tensor, " batch"]


@torch.no_grad()
def patched_states(model: FlowModel, batch: Batch, into: Into, *, nodes: bool = True, heads: bool = True) -> PatchedStates:
    """Exchanges every hidden state, and every head's output at all positions at once, between text and counterpart.

    Args:
        model: The transformer.
        batch: The instances, with counterparts.
        into: `text`: what q loses when a state of the text takes the counterpart's value; `counterpart`: what q gains when a
            state of the counterpart takes the text's.
        nodes: Whether states above hidden[0] are exchanged; where not, theirs are 0.
        heads: Whether outputs of heads are exchanged; where not, theirs are 0.

    Raises:
        NotApplicable: An instance has no counterpart.
    """
    runs = [batch, counterpart_of(batch)]
    traces = [model.run(Rows(r, model.embed(model.words(r), r)), keep={"hidden", "context"})[0] for r in runs]
    q, q_other = (value(model.readout(t.site("hidden", model.n_layers), batch), batch) for t in traces)
    base, source = (0, 1) if into == "text" else (1, 0)
    near, far, start = traces[base], traces[source], (q, q_other)[base]
    sign = 1.0 if into == "text" else -1.0
    count, tokens, (n_layers, n_heads) = len(batch), batch.ids.shape[1], (model.n_layers, model.n_heads)
    of_nodes = start.new_zeros(count, n_layers + 1, tokens)
    of_heads = start.new_zeros(count, n_layers, n_heads)
    rows, row = repeated(runs[base], tokens)
    place = torch.arange(tokens, device=row.device).repeat(count)
    by_head, of_head = repeated(runs[base], n_heads)
    which = torch.arange(n_heads, device=row.device).repeat(count)
    for layer in range(n_layers + 1):
        for part in _parts(len(row), tokens * model.width, row.device) if nodes or not layer else ():
            hidden = near.site("hidden", layer)[row[part]]
            at = (torch.arange(len(part), device=row.device), place[part])
            hidden[at] = far.site("hidden", layer)[row[part], place[part]]
            lost = sign * (start[row[part]] - _q(model, rows.rows(part), hidden, layer))
            of_nodes[row[part], layer, place[part]] = lost
        for part in _parts(len(which), tokens * model.width, row.device) if heads and layer < n_layers else ():
            hidden = near.site("hidden", layer)[of_head[part]]
            edit = _exchanged_head(layer, far.site("context", layer)[of_head[part]], which[part])
            lost = sign * (start[of_head[part]] - _q(model, by_head.rows(part), hidden, layer, edit))
            of_heads[of_head[part], layer, which[part]] = lost
    return PatchedStates(of_nodes, of_heads, q, q_other)


def _exchanged_head(layer: int, context: Float[Tensor, "rows tokens heads size"], which: Int[Tensor, " rows"]) -> Edit:
    """Replaces the context vectors of one head of each row in one layer."""
    rows = torch.arange(len(which), device=which.device)

    def edit(index: int, own: Tensor) -> Tensor:
        if index != layer:
            return own
        own = own.clone()
        own[rows, :, which] = context[rows, :, which]
        return own

    return edit


@torch.no_grad()
def patched_edges(model: FlowModel, batch: Batch) -> Float[Tensor, "batch writers readers"]:
    """What q loses when the counterpart's value travels along one edge, for every edge; 0 where there is none.

    Raises:
        NotApplicable: An instance has no counterpart.
    """
    other, graph = counterpart_of(batch), graph_of(model)
    start = model.embed(model.words(batch), batch)
    written, stream = run_plain(model, batch, start)
    flipped, _ = run_plain(model, other, model.embed(model.words(other), other))
    q = value(model.readout(stream.fed[-1], batch), batch)
    lost = q.new_zeros(len(batch), *graph.shape)
    kept = 1 - torch.eye(graph.shape[0], dtype=start.dtype, device=start.device)
    streams = MixedStreams(model, kept.expand(len(batch), -1, -1), flipped, torch.arange(len(batch), device=start.device))
    for layer, block in enumerate(model.layers):
        before = slice(0, graph.head_writers(layer).start)
        residual = streams.residual(layer, before, written)
        heads = _head_edges(model, batch, layer, stream.residual[layer], written, residual, q)
        lost[:, before, graph.head_readers(layer)] = heads
        reader, read, middle = graph.feed_forward_reader(layer), residual, stream.middle[layer]
        if not block.parallel:
            before = slice(0, graph.head_writers(layer).stop)
            residual = streams.residual(layer, before, written)
            read = block.merged(residual, streams.attended_by(layer, before, written))
        rows, row = repeated(batch, before.stop)
        for part in _parts(len(row), batch.ids.shape[1] * model.width, row.device):
            hidden = block.left(middle[row[part]], block.fed(read.flatten(0, 1)[part]))
            losses = q[row[part]] - _q(model, rows.rows(part), hidden, layer + 1)
            lost[row[part], part % before.stop, reader] = losses
    every = slice(0, graph.shape[0])
    last = streams.residual(model.n_layers, every, written)
    rows, row = repeated(batch, graph.shape[0])
    losses = q[row] - value(model.readout(last.flatten(0, 1), rows), rows)
    lost[:, :, -1] = losses.unflatten(0, (len(batch), -1))
    return lost


def _head_edges(
    model: FlowModel,
    batch: Batch,
    layer: int,
    skip: Float[Tensor, "batch tokens hidden"],
    written: Written,
    residual: Float[Tensor, "batch before tokens hidden"],
    q: Float[Tensor, " batch"],
) -> Float[Tensor, "batch before readers"]:
    """The losses of the edges to the queries, keys and values of a layer's heads.

    Heads do not read one another, so that one pass with the changed input of all heads has the changed output of each.

    Args:
        model: The transformer.
        batch: The instances.
        layer: The layer.
        skip: hidden[layer].
        written: What the writers wrote on the text.
        residual: hidden[layer] with the counterpart's value of each writer before it.
        q: q of the text.
    """
    block, n_heads, before = model.layers[layer], model.n_heads, residual.shape[1]
    attention, mask = block.attention, block.attention.mask(batch.attention_mask.repeat_interleave(before, 0))
    rows, row = repeated(batch, before)
    copies = lambda x: block.normed(x).unsqueeze(-2).expand(-1, -1, n_heads, -1)  # noqa: E731
    same, other = copies(skip), copies(residual.flatten(0, 1))
    plain = attention.each(same, same, same, batch.positions)
    moved = attention.each(other, other, other, rows.positions)
    lost = []
    for part in range(3):
        query, key, value = (m if index == part else p[row] for index, (p, m) in enumerate(zip(plain, moved, strict=True)))
        change = attention.outputs(attention.context(query, key, value, mask)) - written.heads[layer][row]
        by_head, of_head = repeated(rows, n_heads)
        losses = q.new_zeros(len(of_head))
        for some in _parts(len(of_head), batch.ids.shape[1] * model.width, row.device):
            instance = row[of_head[some]]
            attended = written.attended[layer][instance] + change[of_head[some], :, some % n_heads]
            middle = block.merged(skip[instance], attended)
            hidden = block.left(middle, block.fed(skip[instance] if block.parallel else middle))
            losses[some] = q[instance] - _q(model, by_head.rows(some), hidden, layer + 1)
        lost.append(losses.unflatten(0, (len(batch), before, n_heads)))
    return torch.cat(lost, -1)


def _q(
    model: FlowModel, rows: Batch, hidden: Float[Tensor, "rows tokens hidden"], layer: int, edit: Edit | None = None
) -> Tensor:
    """q of rows that enter at a layer, perhaps with an edit of context vectors."""
    (trace,) = model.run(Rows(rows, hidden, layer, {} if edit is None else {"context": edit}))
    return value(model.readout(trace.site("hidden", model.n_layers), rows), rows)


def _parts(rows: int, numbers: int, device: torch.device) -> Iterator[Int[Tensor, " rows"]]:
    """Indices of rows that run together, from the numbers of a row."""
    yield from torch.arange(rows, device=device).split(max(1, MOST_NUMBERS // numbers))
