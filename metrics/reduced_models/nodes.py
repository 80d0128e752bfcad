"""Runs a model reduced to retained nodes: everything else is replaced (`operators`), at every layer from hidden[0] up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ...models.batch import Batch, Edit, Rows, Site
from ...models.flow.flow_model import FlowModel
from ...models.flow.graph import Subgraph
from ...models.outputs import prediction
from ...models.shapes import Hidden, Outputs
from ..operators import ZERO, StandIn, attend_to_kept

ELEMENTS = 2**23
"""About the most hidden numbers (rows x tokens x inner width) that run at once."""


@torch.no_grad()
def ablated_predictions(
    model: FlowModel, batch: Batch, row: Sequence[int], kept: Sequence[Subgraph], stand_in: StandIn = ZERO
) -> Int[np.ndarray, "rows heads"]:
    """What the model predicts for instance `row[r]` when only the nodes `kept[r]` are left.

    Embedding level: hidden[l][i] of other nodes is replaced (by zeros, as published), l = 0..L. Attention level: so are the
    context vectors and the skips of other nodes. Replaced positions stay in the softmax, unless they are cut; retained nodes
    flow on with the original weights. Source: Lu et al. 2021, section 4.4. Any number of subgraphs, of one or both levels, in
    as few passes as fit.
    """
    hidden = model.embed(model.words(batch), batch)
    limit = max(1, ELEMENTS // (4 * model.width * batch.ids.shape[1]))
    first, back = _distinct(row, kept)
    found = np.zeros((len(first), batch.answer.shape[1]), int)
    for level in (False, True):
        index = [n for n, at in enumerate(first) if (kept[at].heads is not None) == level]
        for start in range(0, len(index), limit):
            part = index[start : start + limit]
            rows = torch.tensor([row[first[n]] for n in part], device=hidden.device)
            outputs = reduced_outputs(model, batch.rows(rows), hidden[rows], [kept[first[n]] for n in part], stand_in, rows)
            found[part] = prediction(outputs, batch.rows(rows)).cpu().numpy()
    return found[back]


def _distinct(row: Sequence[int], kept: Sequence[Subgraph]) -> tuple[list[int], list[int]]:
    """The first of each group of equal questions, and the group of each question: many budgets keep the same nodes."""
    groups: dict[tuple[object, ...], int] = {}
    first, back = list[int](), list[int]()
    for number, (at, subgraph) in enumerate(zip(row, kept, strict=True)):
        parts = (subgraph.nodes, subgraph.heads, subgraph.skips)
        key = (at, *(None if part is None else part.tobytes() for part in parts))
        if key not in groups:
            groups[key] = len(first)
            first.append(number)
        back.append(groups[key])
    return first, back


@torch.no_grad()
def clean_predictions(model: FlowModel, batch: Batch) -> Int[np.ndarray, "rows heads"]:
    """What the whole model predicts."""
    return prediction(model.outputs(batch), batch).cpu().numpy()


def reduced_outputs(
    model: FlowModel,
    rows: Batch,
    hidden: Hidden,
    kept: Sequence[Subgraph],
    stand_in: StandIn = ZERO,
    index: Int[Tensor, " rows"] | None = None,
) -> Outputs:
    """Logits of rows of which only the nodes `kept[r]` are left; all of one level.

    Args:
        model: The model.
        rows: One subgraph a row.
        hidden: Their hidden[0].
        kept: Of each row.
        stand_in: For what is not kept, of the batch that the rows are of.
        index: Which row of that batch each is; None: they are its rows.
    """
    (trace,) = model.run(Rows(rows, hidden, 0, _edits(kept, hidden, stand_in, index)))
    return model.readout(trace.site("hidden", model.n_layers), rows)


def _edits(kept: Sequence[Subgraph], like: Tensor, stand_in: StandIn, index: Int[Tensor, " rows"] | None) -> dict[Site, Edit]:
    """Replaces at every site what its mask leaves out."""
    width, states = like.shape[1], stand_in.states
    if states is not None and index is not None:
        states = states.rows(index)
    hidden, context = (None, None) if states is None else states
    nodes = _mask([s.nodes for s in kept], width, like)
    edits: dict[Site, Edit] = {"hidden": replacing(nodes[..., None], hidden)}
    if stand_in.cut:
        edits["attention"] = attend_to_kept(nodes)
    if kept[0].heads is not None:
        heads = _mask([s.heads for s in kept if s.heads is not None], width, like)
        skips = _mask([s.skips for s in kept if s.skips is not None], width, like)
        edits["context"] = replacing(heads[..., None], context)
        edits["skip"] = replacing(skips[..., None], hidden)
    return edits


def _mask(masks: Sequence[np.ndarray], width: int, like: Tensor) -> Tensor:
    """1 where kept, from masks (layers, N, ...) of instances that may be shorter than the batch is wide; padding is 0."""
    whole = np.zeros((len(masks), masks[0].shape[0], width, *masks[0].shape[2:]), bool)
    for number, mask in enumerate(masks):
        whole[number, :, : mask.shape[1]] = mask
    return torch.from_numpy(whole).to(like.device, like.dtype)


def replacing(kept: Float[Tensor, "rows layers *some"], states: Sequence[Tensor] | None) -> Edit:
    """An edit that replaces what is not kept, by zeros or by the states of that layer."""
    if states is None:
        return lambda layer, value: value * kept[:, layer]
    return lambda layer, value: torch.where(kept[:, layer].bool(), value, states[layer])
