"""Runs a model with some of its states replaced: the intervention behind masks, erasure and bottlenecks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from ..batch import Batch, Rows
from ..layered import Layered
from ..shapes import Hidden, Outputs, Words


def clean_states(model: Layered, batch: Batch) -> list[Tensor]:
    """The states a mask has rows for: word vectors (B, N, E), then hidden[0..L] (B, N, D)."""
    words = model.words(batch)
    (trace,) = model.run(Rows(batch, model.embed(words, batch)), keep={"hidden"})
    return [words, *(trace.site("hidden", layer) for layer in range(model.n_layers + 1))]


def outputs_from(model: Layered, batch: Batch, depth: int, states: Words | Hidden) -> Outputs:
    """Logits when `states` stand at a depth: 0 for word vectors, l + 1 for hidden[l]; what is below is not run.

    Args:
        model: Any model.
        batch: One instance a row of `states`.
        depth: 0 to L + 1.
        states: (R, N, E) or (R, N, D).
    """
    if depth == 0:
        return model.outputs(replace(batch, word_vectors=states, cache={}))
    (trace,) = model.run(Rows(batch, states, depth - 1))
    return model.readout(trace.site("hidden", model.n_layers), batch)


def blend(
    states: Float[Tensor, "rows tokens width"], keep: Float[Tensor, "rows tokens"], fill: Float[Tensor, "*some width"]
) -> Float[Tensor, "rows tokens width"]:
    """keep * state + (1 - keep) * fill, position by position (De Cao et al. 2020, section 2); exact where keep is 0 or 1."""
    kept = keep[..., None]
    return kept * states + (1 - kept) * fill


def outputs_from_each(model: Layered, batch: Batch, states: Mapping[int, Tensor]) -> Outputs:
    """Logits when states stand at a depth, for several depths in one growing batch: what they share above runs together.

    Args:
        model: Any model.
        batch: One instance a row of each depth's states.
        states: By depth, as for `outputs_from`.

    Returns:
        (K R, C) an output head: all rows of the first depth given, then of the next.
    """
    entered = [
        Rows(batch, model.embed(each, batch)) if depth == 0 else Rows(batch, each, depth - 1) for depth, each in states.items()
    ]
    traces = model.run(*entered)
    rows = batch.rows(torch.arange(len(batch), device=batch.ids.device).repeat(len(states)))
    return model.readout(torch.cat([trace.site("hidden", model.n_layers) for trace in traces]), rows)
