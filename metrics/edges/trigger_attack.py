"""How much accuracy triggers cost a model, instance by instance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float

from ...core.errors import NotApplicable
from ...models.batch import Batch
from ...models.flow.flow_model import FlowModel
from ...models.outputs import correct
from ...tasks.instance import Instance
from ..reduced_models.nodes import ELEMENTS
from .trigger_insertion import insert
from .trigger_mining import Trigger

MOST_PIECES = 4


class Attack:
    """All instances of a task, with the index of the batch and the row of each, ready to be attacked with any trigger.

    Args:
        model: The attacked model.
        sentences: The instances, batch by batch.
        longest: The most tokens of an attacked sentence.

    Attributes:
        instances: The instances.
        clean: Whether the prediction is right without a trigger.

    Raises:
        NotApplicable: q reads several positions.
    """

    @torch.no_grad()
    def __init__(self, model: FlowModel, sentences: Sequence[tuple[Batch, tuple[Instance, ...]]], longest: int) -> None:
        if any(batch.target is None for batch, _ in sentences):
            raise NotApplicable("q reads several positions, and an inserted trigger would move the positions of the answer.")
        self.model, self.longest, self.batches = model, longest, [batch for batch, _ in sentences]
        self.where = [(index, row) for index, batch in enumerate(self.batches) for row in range(len(batch))]
        self.instances = [instance for _, members in sentences for instance in members]
        self.clean = np.concatenate([correct(model.outputs(batch), batch).cpu().numpy() for batch in self.batches])

    @property
    def classes(self) -> tuple[str, ...]:
        """The gold answer of each instance."""
        return tuple("/".join(map(str, instance.answer)) for instance in self.instances)

    @torch.no_grad()
    def lost(self, jobs: Sequence[tuple[int, Trigger]]) -> Float[np.ndarray, " jobs"]:
        """What each trigger costs its instance: 1, 0, or -1 where it turns a wrong prediction into the right one.

        Args:
            jobs: Pairs of an instance's index and the trigger that attacks it.
        """
        right = np.zeros(len(jobs), bool)
        for index, batch in enumerate(self.batches):
            of_batch = [job for job, (instance, _) in enumerate(jobs) if self.where[instance][0] == index]
            most = max(1, ELEMENTS // (4 * self.model.width * (batch.ids.shape[1] + MOST_PIECES)))
            for start in range(0, len(of_batch), most):
                part = of_batch[start : start + most]
                rows = [self.where[jobs[job][0]][1] for job in part]
                attacked = insert(self.model, batch, rows, [jobs[job][1].pieces for job in part], self.longest)
                right[part] = correct(self.model.outputs(attacked), attacked).cpu().numpy()
        return self.clean[[instance for instance, _ in jobs]].astype(float) - right
