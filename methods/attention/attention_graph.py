"""The model's attention as a layered graph: the input of raw attention, rollout, flow and attention paths."""

from __future__ import annotations

from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from ...core.errors import UsageError
from ...models.batch import Batch, Rows
from ...models.flow.flow_model import FlowModel
from ...models.shapes import Attention

Residual = Annotated[float, Field(ge=0, le=1)]
"""The residual connection's share of a layer."""


@torch.no_grad()
def attention_maps(model: FlowModel, batch: Batch) -> list[Attention]:
    """Attention weights of each layer on the input itself; rows are queries and sum to 1, padded keys are exactly 0."""
    (trace,) = model.run(Rows(batch, model.embed(model.words(batch), batch)), keep={"attention"})
    return [trace.site("attention", layer) for layer in range(model.n_layers)]


@torch.no_grad()
def mean_attention(model: FlowModel, batch: Batch) -> Float[Tensor, "batch layers tokens tokens"]:
    """The mean over heads of `attention_maps`, of which only those of one layer are in memory at once."""
    means: list[Tensor] = []

    def note(_: int, weights: Tensor) -> Tensor:
        means.append(weights.mean(1))
        return weights

    model.run(Rows(batch, model.embed(model.words(batch), batch), edits={"attention": note}))
    return torch.stack(means, 1)


def attention_graph(model: FlowModel, batch: Batch, residual: float) -> Float[Tensor, "batch layers tokens tokens"]:
    """Edge weights R_l[i, p] = residual * [i = p] + (1 - residual) * mean over heads of A_l[i, p]; rows sum to 1.

    Source: Abnar & Zuidema 2020, section 3 (0.5 I + 0.5 A).

    Args:
        model: The model.
        batch: B instances, padded to N tokens.
        residual: Weight of the residual connection, in [0, 1].

    Returns:
        The weights (B, L, N, N) by instance, layer, query and key.
    """
    attention = mean_attention(model, batch)
    identity = torch.eye(attention.shape[-1], dtype=attention.dtype, device=attention.device)
    return (1 - residual) * attention + residual * identity


def depth_of(depth: int | None, model: FlowModel) -> int:
    """The layer whose target row is read, counted from 1: `depth`, or the last layer where it is None.

    Raises:
        UsageError: The model has fewer layers.
    """
    if depth is not None and depth > model.n_layers:
        raise UsageError(f"depth is {depth}, but {model.name!r} has {model.n_layers} layers; leave it out for all of them.")
    return depth or model.n_layers
