"""Runs a model reduced to the nodes that an explanation keeps: the rest is replaced at every layer from hidden[0] up."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ...models.batch import Batch, Edit, Rows, Site
from ...models.flow.flow_model import FlowModel, at_target
from ...models.flow.graph import Subgraph
from ...models.interventions.ablation import ZERO, ReplacedStates, attend_to_kept
from ...models.outputs import prediction
from ...models.shapes import Hidden, Outputs

ELEMENTS = 2**23
"""About the most hidden numbers (rows x tokens x inner width) that run at once."""
SEVERAL_TARGETS = "q reads several positions, and the reduced model keeps only one at the last layer."


@torch.no_grad()
def ablated_predictions(
    model: FlowModel, batch: Batch, row: Sequence[int], kept: Sequence[Subgraph], replaced: ReplacedStates = ZERO
) -> Int[np.ndarray, "rows heads"]:
    """What the model predicts for instance `row[r]` when only the nodes `kept[r]` are left.

    Embedding level: hidden[l][i] of other nodes is replaced (by zeros, as published), l = 0..L. Attention level: so are the
    context vectors and the skips of other nodes. Replaced positions stay in the softmax, unless they are cut; retained nodes
    flow on with the original weights. Any number of subgraphs, of one or both levels, run in as few passes as fit. Source: Lu et
    al. 2021, section 4.4.

    Args:
        model: The model.
        batch: The instances.
        row: The instance of each subgraph.
        kept: The nodes left.
        replaced: What replaces the other nodes.
    """
    hidden = model.embed(model.words(batch), batch)
    limit = max(1, ELEMENTS // (4 * model.width * batch.ids.shape[1]))
    first, group = _distinct(row, kept)
    predicted = np.zeros((len(first), batch.answer.shape[1]), int)
    for attention_level in (False, True):
        of_level = [n for n, index in enumerate(first) if (kept[index].heads is not None) == attention_level]
        for start in range(0, len(of_level), limit):
            part = of_level[start : start + limit]
            instances = torch.tensor([row[first[n]] for n in part], device=hidden.device)
            rows, subgraphs = batch.rows(instances), [kept[first[n]] for n in part]
            outputs = reduced_outputs(model, rows, hidden[instances], subgraphs, replaced, instances)
            predicted[part] = prediction(outputs, rows).cpu().numpy()
    return predicted[group]


def _distinct(row: Sequence[int], kept: Sequence[Subgraph]) -> tuple[list[int], list[int]]:
    """The first index of each group of equal (instance, subgraph), and every index's group: many budgets keep the same nodes."""
    groups: dict[tuple[object, ...], int] = {}
    first, group = list[int](), list[int]()
    for index, (instance, subgraph) in enumerate(zip(row, kept, strict=True)):
        parts = (subgraph.nodes, subgraph.heads, subgraph.skips)
        key = (instance, *(None if part is None else part.tobytes() for part in parts))
        if key not in groups:
            groups[key] = len(first)
            first.append(index)
        group.append(groups[key])
    return first, group


@torch.no_grad()
def clean_predictions(model: FlowModel, batch: Batch) -> Int[np.ndarray, "rows heads"]:
    """What the whole model predicts for each instance; metrics share it through the batch's cache."""
    cached = batch.cache.get("clean predictions")
    if cached is None or cached[0] is not model:
        cached = batch.cache["clean predictions"] = (model, prediction(model.outputs(batch), batch).cpu().numpy())
    predicted: np.ndarray = cached[1]
    return predicted


def reduced_outputs(
    model: FlowModel,
    rows: Batch,
    hidden: Hidden,
    kept: Sequence[Subgraph],
    replaced: ReplacedStates = ZERO,
    index: Int[Tensor, " rows"] | None = None,
) -> Outputs:
    """Logits of rows of which only the nodes `kept[r]` are left; all subgraphs are of one level.

    Args:
        model: The model.
        rows: One subgraph a row.
        hidden: hidden[0] of the rows.
        kept: The subgraph of each row.
        replaced: What replaces the other nodes, for the batch that the rows were taken from.
        index: Which row of that batch each row is; None: the rows are that batch.
    """
    (trace,) = model.run(Rows(rows, hidden, 0, _edits(kept, rows, hidden, replaced, index)), target_only=True)
    return model.readout(trace.site("hidden", model.n_layers), rows)


@torch.no_grad()
def reduced_states(
    model: FlowModel, batch: Batch, row: Sequence[int], kept: Sequence[Subgraph], replaced: ReplacedStates = ZERO
) -> Iterator[tuple[range, list[Hidden]]]:
    """hidden[0..L] of the reduced models, in passes as large as fit: which subgraphs ran, and their states.

    Args:
        model: The model.
        batch: The instances.
        row: The instance of each subgraph.
        kept: The nodes left, all of one level.
        replaced: What replaces the other nodes.
    """
    hidden = model.embed(model.words(batch), batch)
    limit = max(1, ELEMENTS // (4 * model.width * batch.ids.shape[1]))
    for start in range(0, len(kept), limit):
        part = range(start, min(start + limit, len(kept)))
        index = torch.tensor(row[start : part.stop], device=hidden.device)
        rows = batch.rows(index)
        edits = _edits(kept[start : part.stop], rows, hidden, replaced, index)
        (trace,) = model.run(Rows(rows, hidden[index], 0, edits), keep={"hidden"})
        yield part, [trace.site("hidden", depth) for depth in range(model.n_layers + 1)]


def _edits(
    kept: Sequence[Subgraph], rows: Batch, like: Tensor, replaced: ReplacedStates, index: Int[Tensor, " rows"] | None
) -> dict[Site, Edit]:
    """Edits that replace at every site what its mask leaves out."""
    width, states = like.shape[1], replaced.states
    if states is not None and index is not None:
        states = states.rows(index)
    hidden, context = (None, None) if states is None else states
    nodes = _mask([s.nodes for s in kept], width, like)
    edits: dict[Site, Edit] = {"hidden": replacing(nodes[..., None], hidden, rows)}
    if replaced.cut:
        edits["attention"] = attend_to_kept(nodes)
    if kept[0].heads is not None:
        heads = _mask([s.heads for s in kept if s.heads is not None], width, like)
        skips = _mask([s.skips for s in kept if s.skips is not None], width, like)
        edits["context"] = replacing(heads[..., None], context, rows)
        edits["skip"] = replacing(skips[..., None], hidden, rows)
    return edits


def _mask(masks: Sequence[np.ndarray], width: int, like: Tensor) -> Tensor:
    """1 where kept, from masks (layers, N, ...) of instances that may be shorter than the batch is wide; padding is 0."""
    padded = np.zeros((len(masks), masks[0].shape[0], width, *masks[0].shape[2:]), bool)
    for row, mask in enumerate(masks):
        padded[row, :, : mask.shape[1]] = mask
    return torch.from_numpy(padded).to(like.device, like.dtype)


def replacing(
    kept: Float[Tensor, "rows layers *some"], states: Sequence[Tensor] | Mapping[int, Tensor] | None, rows: Batch
) -> Edit:
    """An edit that replaces what is not kept, by the states of that layer; None: by zeros.

    Args:
        kept: 1 where a value is kept, at every layer.
        states: The replacing states of every layer that is run.
        rows: The instance of each row: where a layer computes the target alone, only what concerns the target is read.
    """

    def edit(layer: int, value: Tensor) -> Tensor:
        left, other = kept[:, layer], None if states is None else states[layer]
        if value.shape[1] == 1:
            left = at_target(left, rows)
            other = None if other is None else at_target(other.expand(len(rows), *other.shape[1:]), rows)
        return value * left if other is None else torch.where(left.bool(), value, other)

    return edit
