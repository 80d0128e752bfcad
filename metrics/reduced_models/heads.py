"""Runs a model without some of its heads: the context vectors of a pruned head are replaced at every position."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Float, Int

from ...models.batch import Batch, Rows
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
    """What the model predicts for instance `row[r]` at each step, with only the heads `kept[r, s]`; equal models run once.

    Args:
        model: The model.
        batch: The instances.
        row: The instance of each row of `kept`.
        kept: The heads left at each step.
        replaced: What replaces the context vectors of pruned heads.
    """
    count, steps = kept.shape[:2]
    columns = np.column_stack([np.repeat(np.asarray(row), steps), kept.reshape(count * steps, -1)])
    distinct, back = np.unique(columns, axis=0, return_inverse=True)
    limit = max(1, ELEMENTS // (4 * model.width * batch.ids.shape[1]))
    predicted = []
    for start in range(0, len(distinct), limit):
        part = distinct[start : start + limit]
        left = part[:, 1:].astype(bool).reshape(len(part), *kept.shape[2:])
        outputs = pruned_outputs(model, batch, part[:, 0].tolist(), left, replaced)
        rows = batch.rows(torch.from_numpy(part[:, 0]).to(batch.ids.device))
        predicted.append(prediction(outputs, rows).cpu().numpy())
    return np.concatenate(predicted)[back].reshape(count, steps, -1)


@torch.no_grad()
def pruned_outputs(
    model: FlowModel,
    batch: Batch,
    row: Sequence[int],
    kept: Bool[np.ndarray, "rows layers heads"],
    replaced: ReplacedStates = ZERO,
) -> Outputs:
    """Logits of instance `row[r]` with the context vectors of all heads but `kept[r]` replaced.

    By zeros, as published, so that a layer without heads still adds b_o. The state after a layer depends on the heads left up
    to it alone: rows of one instance share all layers below the first in which their heads differ, so that the nested sets of
    a curve, and many curves, run few layers.

    Args:
        model: The model.
        batch: The instances.
        row: The instance of each row.
        kept: The heads left.
        replaced: What replaces the context vectors of pruned heads.
    """
    instance = state = np.asarray(row)
    hidden = model.embed(model.words(batch), batch)
    for layer in range(model.n_layers):
        _, first, after = np.unique(np.column_stack([state, kept[:, layer]]), axis=0, return_index=True, return_inverse=True)
        index = torch.from_numpy(instance[first]).to(hidden.device)
        left = torch.from_numpy(kept[first]).to(hidden)[:, :, None, :, None]  # one for all positions
        rows, states = batch.rows(index), None
        if replaced.states is not None:
            context = replaced.states.context[layer]
            states = {layer: context[index] if len(context) > 1 else context}
        entering = Rows(rows, hidden[torch.from_numpy(state[first])], layer, {"context": replacing(left, states, rows)})
        (trace,) = model.run(entering, target_only=True, until=layer + 1)
        hidden, state = trace.site("hidden", layer + 1), after
    return model.readout(hidden[torch.from_numpy(state)], batch.rows(torch.from_numpy(instance).to(hidden.device)))


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
