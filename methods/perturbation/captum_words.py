"""q as a function that captum can call: of word vectors, or of which words are present."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ...models.baseline import Baseline, baseline_words
from ...models.batch import Batch
from ...models.layered import Layered
from ...models.outputs import value

Forward = Callable[[Tensor, Tensor], Tensor]
ROWS = 256
"""Largest number of rows that captum runs at once, where the memory budget has room for so many."""


def forward_of_words(model: Layered, batch: Batch) -> Forward:
    """Builds `forward(words (R, N, E), row (R,)) -> q (R,)`: q of the batch's rows with other word vectors."""

    def forward(words: Tensor, row: Tensor) -> Tensor:
        rows = replace(batch.rows(row), word_vectors=words)
        return value(model.outputs(rows), rows)

    return forward


def forward_of_presence(model: Layered, batch: Batch, baseline: Baseline) -> Forward:
    """Builds `forward(present (R, N), row (R,)) -> q (R,)`: q with the words' vectors at 1, and the baseline's vectors at 0.

    Args:
        model: The model.
        batch: The batch of which `row` names rows.
        baseline: Word vectors of absent words.

    Returns:
        The function; values between 0 and 1 interpolate between the two vectors.
    """
    with torch.no_grad():
        x, x_b = model.words(batch), baseline_words(model, batch, baseline)
    forward_words = forward_of_words(model, batch)

    def forward(present: Tensor, row: Tensor) -> Tensor:
        return forward_words(torch.lerp(x_b[row], x[row], present[..., None]), row)

    return forward


def baseline_values(model: Layered, batch: Batch, baseline: Baseline) -> list[dict[str, float]]:
    """`values` of explanations whose scores sum to q minus its value without any word: that value, as `q_baseline`."""
    forward, row = forward_of_presence(model, batch, baseline), torch.arange(len(batch), device=batch.ids.device)
    with torch.no_grad():
        q = forward(torch.zeros_like(batch.attention_mask, dtype=model.dtype), row)
    return [{"q_baseline": float(q_row)} for q_row in q]


def single_instances(batch: Batch) -> Iterator[Batch]:
    """Each instance alone and without padding, so that random draws for it do not depend on the rest of the batch."""
    for row in range(len(batch)):
        single = batch.rows(torch.tensor([row], device=batch.ids.device))
        yield single.only(single.attention_mask)


def all_present(model: Layered, single: Batch) -> tuple[Tensor, Tensor]:
    """Arguments of the forward function of a single instance: every word present (1, N), and its row index (1,)."""
    mask = single.attention_mask
    return torch.ones_like(mask, dtype=model.dtype), torch.zeros_like(mask[:, 0], dtype=torch.long)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seeds the global generators, from which captum and scikit-learn draw, and restores their states at the end."""
    before = np.random.get_state()
    with torch.random.fork_rng():
        torch.manual_seed(seed % 2**63)
        np.random.seed(seed % 2**32)
        try:
            yield
        finally:
            np.random.set_state(before)
