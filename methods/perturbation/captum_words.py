"""q as a function that captum can call: of word vectors, or of which words are there."""

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
"""Most rows captum runs at once."""


def of_words(model: Layered, batch: Batch) -> Forward:
    """`forward(words (R, N, E), row (R,)) -> q (R,)`: q of the batch's rows with these word vectors."""

    def forward(words: Tensor, row: Tensor) -> Tensor:
        rows = replace(batch.rows(row), word_vectors=words)
        return value(model.outputs(rows), rows)

    return forward


def of_presence(model: Layered, batch: Batch, baseline: Baseline) -> Forward:
    """`forward(there (R, N), row (R,)) -> q (R,)`: q with the words at 1, and the baseline's vectors at 0."""
    with torch.no_grad():
        x, x_b = model.words(batch), baseline_words(model, batch, baseline)
    on_words = of_words(model, batch)

    def forward(there: Tensor, row: Tensor) -> Tensor:
        return on_words(torch.lerp(x_b[row], x[row], there[..., None]), row)

    return forward


def ends(model: Layered, batch: Batch, baseline: Baseline) -> list[dict[str, float]]:
    """q with no word there, as `values` of explanations whose scores sum to the distance from it."""
    forward, row = of_presence(model, batch, baseline), torch.arange(len(batch), device=batch.ids.device)
    with torch.no_grad():
        q = forward(torch.zeros_like(batch.attention_mask, dtype=model.dtype), row)
    return [{"q_baseline": float(one)} for one in q]


def singles(batch: Batch) -> Iterator[Batch]:
    """Each instance alone and without padding, so that what is drawn for it depends on nothing beside it."""
    for row in range(len(batch)):
        one = batch.rows(torch.tensor([row], device=batch.ids.device))
        yield one.only(one.attention_mask)


def all_there(model: Layered, one: Batch) -> tuple[Tensor, Tensor]:
    """The arguments of one instance's forward: every word there (1, N), and its row number (1,)."""
    return torch.ones_like(one.attention_mask, dtype=model.dtype), torch.zeros_like(one.attention_mask[:, 0], dtype=torch.long)


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """captum and scikit-learn draw from global generators: seeded inside, and as they were outside."""
    before = np.random.get_state()
    with torch.random.fork_rng():
        torch.manual_seed(seed % 2**63)
        np.random.seed(seed % 2**32)
        try:
            yield
        finally:
            np.random.set_state(before)
