"""Head importance by removal (Michel et al. 2019): the decrease of accuracy without one head."""

from __future__ import annotations

import torch
from torch import Tensor

from ...models.batch import Batch, Rows
from ...models.flow.flow_model import FlowModel
from ...models.memory import rows_at_once
from ...models.outputs import correct
from ..base import explanations, method
from ..explanation import Explanation

ROWS = 512
"""Largest number of rows that run at once."""


@method(
    "head-accuracy-difference",
    gives={"heads"},
    needs={"transformer"},
    source="Michel et al. 2019, Are Sixteen Heads Really Better than One?, section 3.2",
    misleads="Most heads can go one at a time without a change of the prediction (Michel et al. 2019, section 3.2): most "
    "scores are 0, ties decide the ranking, and on few instances a difference is a few predictions. Hao et al. 2021 "
    "(figure 5) find the rankings by it the worst of three for pruning.",
)
@torch.no_grad()
def head_accuracy_difference(model: FlowModel, batch: Batch) -> list[Explanation]:
    """Decrease of accuracy when one head is removed (Michel et al. 2019).

    heads[l, h] = correct(x) - correct(x without head h of layer l), where the context vectors of a removed head are zeros; the
    bias of the output projection stays. The mean over instances is the decrease of accuracy, a multiple of 1 / the number of
    instances, so that heads often tie; rankings break ties by layer, then by head. Source: Michel et al. 2019, section 3.2. -1, 0
    or 1; larger is more important. Where the explained answer is the model's own prediction, 1 means that the prediction changed.

    Cost: L * A / 2 forward passes, since rows enter the model after the layer of their removed head.
    """
    (trace,) = model.run(Rows(batch, model.embed(model.words(batch), batch)), keep={"skip", "context"})
    clean = correct(model.readout(trace.site("hidden", model.n_layers), batch), batch)
    layers = [
        _right_without(model, batch, layer, trace.site("skip", layer), trace.site("context", layer))
        for layer in range(model.n_layers)
    ]
    return explanations(batch, heads=clean[:, None, None].double() - torch.stack(layers, 1).double())


def _right_without(model: FlowModel, batch: Batch, layer: int, skip: Tensor, context: Tensor) -> Tensor:
    """Whether each instance is right without each head of a layer (B, A), a chunk of heads at a time."""
    instances, right = torch.arange(len(batch), device=skip.device), []
    kept_heads = 1 - torch.eye(model.n_heads, dtype=context.dtype, device=context.device)
    for gates in kept_heads.split(max(1, rows_at_once(model, batch.ids.shape[1], ROWS) // len(batch))):
        rows = batch.rows(instances.repeat(len(gates)))
        without = context * gates[:, None, None, :, None]  # (heads, B, N, A, d)
        hidden = model.layers[layer].finish(skip.expand(len(gates), *skip.shape).flatten(0, 1), without.flatten(0, 1))
        (trace,) = model.run(Rows(rows, hidden, layer + 1))
        right.append(correct(model.readout(trace.site("hidden", model.n_layers), rows), rows).unflatten(0, (-1, len(batch))))
    return torch.cat(right).T
