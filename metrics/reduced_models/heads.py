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
from ...models.outputs import prediction
from ...models.shapes import Outputs
from ..base import ExplainedBatch, score_row
from ..operators import ZERO, StandIn
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
    place = np.argsort(np.argsort(-rivals if most_first else rivals, axis=1, kind="stable"), axis=1)
    counts = np.arange(steps + 1) * rivals.shape[1] // steps
    kept: np.ndarray = place.reshape(score.shape) >= counts[:, None, None]
    return kept


def pruned_predictions(
    model: FlowModel,
    batch: Batch,
    row: Sequence[int],
    kept: Bool[np.ndarray, "rows steps layers heads"],
    stand_in: StandIn = ZERO,
) -> Int[np.ndarray, "rows steps outputs"]:
    """What the model predicts for instance `row[r]` at each step, with the heads `kept[r, s]` alone; equal rows run once."""
    first = list({(at, kept[number].tobytes()): number for number, at in reversed(list(enumerate(row)))}.values())
    asked = {(row[number], kept[number].tobytes()): place for place, number in enumerate(first)}
    found = np.zeros((len(first), kept.shape[1], batch.answer.shape[1]), int)
    limit = max(1, ELEMENTS // (4 * model.width * batch.ids.shape[1]))
    for start in range(0, len(first), limit):
        part = first[start : start + limit]
        index = [row[number] for number in part]
        rows = batch.rows(torch.tensor(index, device=batch.ids.device))
        for step, outputs in enumerate(pruned_outputs(model, batch, index, kept[part], stand_in)):
            found[start : start + limit, step] = prediction(outputs, rows).cpu().numpy()
    return found[[asked[at, kept[number].tobytes()] for number, at in enumerate(row)]]


@torch.no_grad()
def pruned_outputs(
    model: FlowModel,
    batch: Batch,
    row: Sequence[int],
    kept: Bool[np.ndarray, "rows steps layers heads"],
    stand_in: StandIn = ZERO,
) -> Iterator[Outputs]:
    """Logits of every row, step by step, with the context vectors of pruned heads replaced.

    By zeros, as published, so that of a layer without heads b_o stays.
    A row goes on from its own hidden states of the step before (at first: of the whole model), at the lowest layer whose heads
    have changed since; nothing below is computed again.
    """
    instances, again = np.unique(np.asarray(row), return_inverse=True)
    rows = batch.rows(torch.tensor(row, device=batch.ids.device))
    clean = batch.rows(torch.tensor(instances, device=batch.ids.device))
    (trace,) = model.run(Rows(clean, model.embed(model.words(clean), clean)), keep={"hidden"})
    hidden = torch.stack([trace.site("hidden", layer) for layer in range(model.n_layers + 1)])[:, again]
    states = stand_in.states

    def prune(left: np.ndarray, instance: np.ndarray) -> Edit:
        factor = torch.from_numpy(left).to(hidden)[:, :, None, :, None]  # one for all positions
        context = None if states is None else states.rows(torch.from_numpy(instance).to(hidden.device)).context
        return replacing(factor, context)

    for before, now in pairwise([np.ones_like(kept[:, 0]), *np.moveaxis(kept, 1, 0)]):
        groups = entries(before, now)
        made = [
            Rows(
                rows.rows(torch.from_numpy(index)), hidden[at, index], at, {"context": prune(now[index], np.asarray(row)[index])}
            )
            for at, index in groups
        ]
        for (at, index), part in zip(groups, model.run(*made, keep={"hidden"}) if made else [], strict=True):
            for depth in range(at + 1, model.n_layers + 1):
                hidden[depth, index] = part.site("hidden", depth)
        yield model.readout(hidden[-1], rows)


def entries(
    before: Bool[np.ndarray, "rows layers heads"], now: Bool[np.ndarray, "rows layers heads"]
) -> list[tuple[int, Int[np.ndarray, " changed"]]]:
    """The lowest layer that changes, and the rows of which it is the lowest; rows without change are left out.

    >>> stay, change = np.ones((2, 3, 1), bool), np.array([[[1], [0], [0]], [[1], [1], [1]]], bool)
    >>> entries(stay, change)
    [(1, array([0]))]
    """
    changed = (before != now).any(2)
    first = np.where(changed.any(1), changed.argmax(1), changed.shape[1])
    return [(int(at), np.flatnonzero(first == at)) for at in np.unique(first) if at < changed.shape[1]]


def curve_rows(
    model: FlowModel,
    shown: ExplainedBatch,
    lines: Mapping[str, Bool[np.ndarray, "batch draws steps layers heads"]],
    ticks: Sequence[str],
    stand_in: StandIn = ZERO,
) -> Iterator[dict[str, Any]]:
    """Score rows of pruning curves: `<line>/<tick>`, `<line>/auc` and `<line>/auc/agreement`.

    Args:
        model: The model.
        shown: The batch.
        lines: The heads left at each step, by the line's name.
        ticks: The steps' names.
        stand_in: For the context vectors of pruned heads.
    """
    sizes = {name: kept.shape[:2] for name, kept in lines.items()}
    row = [number for count, draws in sizes.values() for number in range(count) for _ in range(draws)]
    found = pruned_predictions(
        model, shown.batch, row, np.concatenate([kept.reshape(-1, *kept.shape[2:]) for kept in lines.values()]), stand_in
    )
    gold, clean = shown.batch.answer.cpu().numpy()[row], clean_predictions(model, shown.batch)[row]
    curves = zip(*((found == wanted[:, None]).all(2).astype(float) for wanted in (gold, clean)), strict=True)
    for name, (count, draws) in sizes.items():
        for number in range(count):
            for draw in range(draws):
                right, same = next(curves)
                instance = shown.instances[number]
                for tick, value in zip(ticks, right, strict=True):
                    yield score_row(instance, f"{name}/{tick}", float(value), draw)
                yield score_row(instance, f"{name}/auc", area(right), draw)
                yield score_row(instance, f"{name}/auc/agreement", area(same), draw)


def area(curve: Float[np.ndarray, " steps"]) -> float:
    """Trapezoids over evenly spaced steps, as a share of their range.

    >>> area(np.array([0.0, 1.0, 1.0]))
    0.75
    """
    return float((curve[:-1] + curve[1:]).mean() / 2)
