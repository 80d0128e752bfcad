"""Runs a model with some of its states replaced: the intervention behind masks, erasure and bottlenecks."""

from __future__ import annotations

from dataclasses import replace

from jaxtyping import Float
from torch import Tensor

from .batch import Batch, Rows
from .layered import Layered
from .shapes import Hidden, Outputs, Words


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
        return model.outputs(replace(batch, words=states, cache={}))
    (trace,) = model.run(Rows(batch, states, depth - 1))
    return model.readout(trace.site("hidden", model.n_layers), batch)


def blend(
    states: Float[Tensor, "rows tokens width"], keep: Float[Tensor, "rows tokens"], fill: Float[Tensor, "*some width"]
) -> Float[Tensor, "rows tokens width"]:
    """keep * state + (1 - keep) * fill, position by position (De Cao et al. 2020, section 2); exact where keep is 0 or 1."""
    kept = keep[..., None]
    return kept * states + (1 - kept) * fill
