"""The train instances of DiffMask's gates: what is held out, what is drawn, and the model's clean states on them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ...models.batch import Batch, padded
from ...models.interventions.states import clean_states
from ...models.layered import Layered
from ...models.memory import memory_budget
from ...models.shapes import Outputs
from ...models.tokenizer import padding_token

CACHE = 2**30
"""Bytes of clean states that are kept for the whole training, and a quarter of the memory budget at most; larger data are run
again at every step."""
HELD, HELD_SHARE = 64, 0.1
"""Number of train instances held out to choose the checkpoint: a tenth, at most 64."""
SPLIT = 0
"""First number of the seed that draws the held-out instances; the training has its own."""


@dataclass(frozen=True, eq=False)
class CleanRun:
    """Instances with the model's states and outputs on the whole input.

    Attributes:
        batch: The instances.
        states: The states by depth.
        outputs: The logits.
    """

    batch: Batch
    states: tuple[Tensor, ...]
    outputs: Outputs

    @classmethod
    @torch.no_grad()
    def of(cls, model: Layered, batch: Batch) -> CleanRun:
        """Runs the model once on a batch."""
        states = clean_states(model, batch)
        return cls(batch, tuple(states), model.readout(states[-1], batch))

    def rows(self, index: Tensor) -> CleanRun:
        """The run of the instances at `index`."""
        batch = self.batch.rows(index)
        states, outputs = (tuple(t[index] for t in tensors) for tensors in (self.states, self.outputs))
        return CleanRun(batch, states, outputs)

    @classmethod
    def join(cls, runs: Sequence[CleanRun], padding: int) -> CleanRun:
        """The run of the instances of several runs, padded to the longest; the outputs of spans are as many as the tokens.

        Args:
            runs: The runs, of one model.
            padding: The token of padding.
        """
        batch = Batch.join([run.batch for run in runs], padding)
        length, more = batch.ids.shape[1], -torch.inf if batch.spans else None
        states = zip(*(run.states for run in runs), strict=True)
        outputs = zip(*(run.outputs for run in runs), strict=True)
        return cls(
            batch,
            tuple(torch.cat([padded(part, length, 0) for part in parts]) for parts in states),
            tuple(torch.cat([part if more is None else padded(part, length, more) for part in parts]) for parts in outputs),
        )


class GateExamples:
    """Train instances, some of them held out, with their clean states where these fit into memory.

    Args:
        model: The model.
        data: The batches.
        seed: Of the choice of held-out instances.

    Attributes:
        held: Rows of each batch that are held out.
        used: The other rows; all rows where there are too few to hold any out.
        cached: The clean runs of all batches, or empty.
    """

    def __init__(self, model: Layered, data: Sequence[Batch], seed: int) -> None:
        self.model, self.data = model, data
        sizes = [len(batch) for batch in data]
        total = sum(sizes)
        count = 0 if total < 2 else min(HELD, max(1, round(HELD_SHARE * total)))
        chosen = np.zeros(total, bool)
        chosen[np.random.default_rng([seed, SPLIT]).permutation(total)[:count]] = True
        parts = np.split(chosen, np.cumsum(sizes)[:-1])
        self.used = [np.flatnonzero(~part) for part in parts]
        self.held = [np.flatnonzero(part) for part in parts] if count else self.used
        tokens = sum(batch.ids.numel() for batch in data)
        size = tokens * model.width * (model.n_layers + 2) * torch.finfo(model.dtype).bits // 8
        self.cached = [CleanRun.of(model, batch) for batch in data] if size <= min(CACHE, memory_budget() // 4) else []

    def get(self, index: int, rows: np.ndarray) -> CleanRun:
        """The clean run of rows of one batch."""
        if self.cached:
            return self.cached[index].rows(torch.from_numpy(rows).to(self.data[index].ids.device))
        return CleanRun.of(self.model, self._rows(index, rows))

    def _rows(self, index: int, rows: np.ndarray) -> Batch:
        return self.data[index].rows(torch.from_numpy(rows).to(self.data[index].ids.device))

    def draw(self, generator: np.random.Generator, size: int) -> CleanRun:
        """At most `size` train rows, drawn from the whole split: batches are sorted by length, and one of them is no sample."""
        rows = np.concatenate([np.stack([np.full(len(part), n), part], 1) for n, part in enumerate(self.used)])
        drawn = rows[np.sort(generator.choice(len(rows), min(size, len(rows)), replace=False))]
        pieces = [(int(n), drawn[drawn[:, 0] == n, 1]) for n in np.unique(drawn[:, 0])]
        padding = padding_token(self.model.tokenizer)
        if self.cached:
            return CleanRun.join([self.get(n, part) for n, part in pieces], padding)
        return CleanRun.of(self.model, Batch.join([self._rows(n, part) for n, part in pieces], padding))

    def checks(self) -> Iterator[CleanRun]:
        """The clean runs of the held-out rows, batch by batch."""
        return (self.get(index, rows) for index, rows in enumerate(self.held) if len(rows))
