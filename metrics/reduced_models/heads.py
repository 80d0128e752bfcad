"""Runs a model without some of its heads: the context vectors of a pruned head are replaced at every position."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from ...models.batch import Batch, Edit, Rows
from ...models.flow.flow_model import FlowModel
from ...models.interventions.ablation import ZERO, ReplacedStates
from ...models.outputs import prediction
from ...models.shapes import Outputs
from ...tasks.instance import Instance
from ..base import ExplainedBatch, score_row
from .nodes import ELEMENTS, clean_predictions, replacing


def kept_heads(
    score: Float[np.ndarray, "layers heads"], steps: int, most_first: bool, per_layer: bool = False
) -> Bool[np.ndarray, "steps_and_one layers heads"]:
    """The heads left when the shares 0, 1/steps, ..., 1 of them are pruned, by falling or rising score.

    floor(L A r) heads over all layers, or floor(A r) in each. Lower layers and heads go first on ties.

    >>> kept_heads(np.array([[0.1, 0.4], [0.3, 0.2]]), 2, most_first=True).astype(int).tolist()
    [[[1, 1], [1, 1]], [[1, 0], [0, 1]], [[0, 0], [0, 0]]]
    """
    rivals = score.reshape(len(score) if per_layer else 1, -1)
    rank = np.argsort(np.argsort(-rivals if most_first else rivals, axis=1, kind="stable"), axis=1)
    counts = np.arange(steps + 1) * rivals.shape[1] // steps
    kept: np.ndarray = rank.reshape(score.shape) >= counts[:, None, None]
    return kept


def pruned_predictions(
    model: FlowModel,
    batch: Batch,
    row: Sequence[int],
    kept: Bool[np.ndarray, "rows steps layers heads"],
    replaced: ReplacedStates = ZERO,
) -> Int[np.ndarray, "rows steps outputs"]:
    """What the model predicts for instance `row[r]` at each step, with only the heads `kept[r, s]`; equal rows run once.

    Args:
        model: The model.
        batch: The instances.
        row: The instance of each row of `kept`.
        kept: The heads left at each step.
        replaced: What replaces the context vectors of pruned heads.
    """
    keys = [(instance, heads.tobytes()) for instance, heads in zip(row, kept, strict=True)]
    first = {key: index for index, key in reversed(list(enumerate(keys)))}  # a key's lowest row
    run = {key: index for index, key in enumerate(first)}
    unique = list(first.values())
    predicted = np.zeros((len(unique), kept.shape[1], batch.answer.shape[1]), int)
    limit = max(1, ELEMENTS // (4 * model.width * batch.ids.shape[1]))
    for start in range(0, len(unique), limit):
        part = unique[start : start + limit]
        instances = [row[index] for index in part]
        rows = batch.rows(torch.tensor(instances, device=batch.ids.device))
        for step, outputs in enumerate(pruned_outputs(model, batch, instances, kept[part], replaced)):
            predicted[start : start + limit, step] = prediction(outputs, rows).cpu().numpy()
    return predicted[[run[key] for key in keys]]


@torch.no_grad()
def pruned_outputs(
    model: FlowModel,
    batch: Batch,
    row: Sequence[int],
    kept: Bool[np.ndarray, "rows steps layers heads"],
    replaced: ReplacedStates = ZERO,
) -> Iterator[Outputs]:
    """Logits of every row, step by step, with the context vectors of pruned heads replaced.

    By zeros, as published, so that a layer without heads still adds b_o. A row goes on from its own hidden states of the step
    before (at first: of the whole model), at the lowest layer whose heads have changed since; nothing below is computed again.

    Args:
        model: The model.
        batch: The instances.
        row: The instance of each row of `kept`.
        kept: The heads left at each step.
        replaced: What replaces the context vectors of pruned heads.
    """
    instances, instance_of = np.unique(np.asarray(row), return_inverse=True)
    rows = batch.rows(torch.tensor(row, device=batch.ids.device))
    clean = batch.rows(torch.tensor(instances, device=batch.ids.device))
    (trace,) = model.run(Rows(clean, model.embed(model.words(clean), clean)), keep={"hidden"})
    hidden = torch.stack([trace.site("hidden", layer) for layer in range(model.n_layers + 1)])[:, instance_of]
    states = replaced.states

    def prune(left: np.ndarray, instance: np.ndarray) -> Edit:
        factor = torch.from_numpy(left).to(hidden)[:, :, None, :, None]  # one for all positions
        context = None if states is None else states.rows(torch.from_numpy(instance).to(hidden.device)).context
        return replacing(factor, context)

    for before, now in pairwise([np.ones_like(kept[:, 0]), *np.moveaxis(kept, 1, 0)]):
        groups = entries(before, now)
        entering = [
            Rows(
                rows.rows(torch.from_numpy(index)),
                hidden[layer, index],
                layer,
                {"context": prune(now[index], np.asarray(row)[index])},
            )
            for layer, index in groups
        ]
        for (layer, index), part in zip(groups, model.run(*entering, keep={"hidden"}) if entering else [], strict=True):
            for depth in range(layer + 1, model.n_layers + 1):
                hidden[depth, index] = part.site("hidden", depth)
        yield model.readout(hidden[-1], rows)


def entries(
    before: Bool[np.ndarray, "rows layers heads"], now: Bool[np.ndarray, "rows layers heads"]
) -> list[tuple[int, Int[np.ndarray, " changed"]]]:
    """The layers at which rows enter anew: each with the rows whose lowest changed layer it is; rows without change have none.

    >>> stay, change = np.ones((2, 3, 1), bool), np.array([[[1], [0], [0]], [[1], [1], [1]]], bool)
    >>> entries(stay, change)
    [(1, array([0]))]
    """
    changed = (before != now).any(2)
    first = np.where(changed.any(1), changed.argmax(1), changed.shape[1])
    return [(int(layer), np.flatnonzero(first == layer)) for layer in np.unique(first) if layer < changed.shape[1]]


def pruning_rows(
    model: FlowModel,
    explained: ExplainedBatch,
    lines: Mapping[str, Bool[np.ndarray, "batch draws steps layers heads"]],
    ticks: Sequence[str],
    replaced: ReplacedStates = ZERO,
) -> Iterator[dict[str, Any]]:
    """Score rows of pruning curves: `<line>/<tick>`, `<line>/auc` and `<line>/auc/agreement`.

    Args:
        model: The model.
        explained: The batch.
        lines: The heads left at each step, by the line's name.
        ticks: The name of each step.
        replaced: What replaces the context vectors of pruned heads.
    """
    sizes = {name: kept.shape[:2] for name, kept in lines.items()}
    row = [index for count, draws in sizes.values() for index in range(count) for _ in range(draws)]
    kept = np.concatenate([kept.reshape(-1, *kept.shape[2:]) for kept in lines.values()])
    predicted = pruned_predictions(model, explained.batch, row, kept, replaced)
    gold, clean = explained.batch.answer.cpu().numpy()[row], clean_predictions(model, explained.batch)[row]
    curves = zip(*((predicted == answer[:, None]).all(2).astype(float) for answer in (gold, clean)), strict=True)
    for name, (count, draws) in sizes.items():
        for index in range(count):
            for draw in range(draws):
                correct, agrees = next(curves)
                yield from curve_rows(explained.instances[index], f"{name}/", ticks, correct, agrees, draw)


def curve_rows(
    instance: Instance,
    prefix: str,
    ticks: Sequence[str],
    correct: Float[np.ndarray, " steps"],
    agrees: Float[np.ndarray, " steps"],
    draw: int,
) -> Iterator[dict[str, Any]]:
    """Score rows of one instance's curve: each step, the area `auc`, and the area of the agreement with the whole model.

    Args:
        instance: The instance.
        prefix: Stands before every variant.
        ticks: The name of each step.
        correct: 1 where the prediction of a step is right.
        agrees: 1 where it is the whole model's.
        draw: Which draw of the explanation this is.
    """
    for tick, value in zip(ticks, correct, strict=True):
        yield score_row(instance, f"{prefix}{tick}", float(value), draw)
    yield score_row(instance, f"{prefix}auc", area(correct), draw)
    yield score_row(instance, f"{prefix}auc/agreement", area(agrees), draw)


def area(curve: Float[np.ndarray, " steps"]) -> float:
    """Area under a curve by trapezoids over evenly spaced steps, as a share of their range.

    >>> area(np.array([0.0, 1.0, 1.0]))
    0.75
    """
    return float((curve[:-1] + curve[1:]).mean() / 2)
