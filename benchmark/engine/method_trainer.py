"""Trains those methods that are trained, each once for a model, a task and a seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from ...models.batch import Batch
from ...models.built.training import TrainingSession
from ...models.inputs.encode import batches
from ...models.layered import Layered
from ...models.memory import DEFAULT, memory_bytes, within_memory
from ...models.shared_model import lent_copy
from ..loading.trained_weights import TrainedWeights
from ..store.key import canonical
from ..store.record import TrainingOutcome
from .jobs import Job

BATCH_SIZE = 64


@dataclass(eq=False)
class MethodTrainer:
    """Gives methods that are ready to explain.

    Attributes:
        trained_weights: Where weights are kept.
        model: The model that is explained.
        labels: The model's output of each class of the task.
    """

    trained_weights: TrainedWeights
    model: Layered
    labels: Mapping[str, int]
    _ready: dict[int, Any] = field(default_factory=dict)
    _batches: dict[str, tuple[Batch, ...]] = field(default_factory=dict)

    def ready(self, job: Job) -> Any:
        """The job's method, trained first if it is a method that is trained.

        Raises:
            FlowgaugeError: The training failed.
        """
        if job.training_sample is None:
            return job.method
        if id(job) not in self._ready:
            self._ready[id(job)] = job.method.trained(self._weights(job))
        return self._ready[id(job)]

    def training(self, job: Job) -> str:
        """The folder of the training that the job's method still needs; empty where it is trained, or needs none."""
        if job.training_sample is None or id(job) in self._ready or job.is_settled:
            return ""
        folder = self.trained_weights.folder(job.name, _key(job))
        return "" if self.trained_weights.is_done(folder) else folder

    def outcome(self, job: Job) -> TrainingOutcome | None:
        """How the training of the job's method ended; None where it is not trained or does not say, or has no weights here."""
        if job.training_sample is None:
            return None
        record = self.trained_weights.read(self.trained_weights.folder(job.name, _key(job)))
        return None if record is None else record.outcome

    def _weights(self, job: Job) -> dict[str, Any]:
        def fit(session: TrainingSession) -> Mapping[str, Tensor]:
            weights: Mapping[str, Tensor] = job.method.fit(self.model, self._training_batches(job), session)
            return weights

        return self.trained_weights.weights(job.name, _key(job), job.seed, fit)

    def _training_batches(self, job: Job) -> tuple[Batch, ...]:
        """The train split as batches, encoded once for all methods, with empty caches."""
        name = canonical({name: job.key[name] for name in ("trained_on", "max_tokens", "on_split")})
        if name not in self._batches:
            sample = job.training_sample
            # A step of training draws from one batch, and weights are kept without the memory budget, which must not move them.
            with within_memory(memory_bytes(DEFAULT)):
                self._batches[name] = batches(
                    self.model, sample.instances, sample.key.quantity, batch_size=BATCH_SIZE, max_tokens=job.key["max_tokens"],
                    on_split=job.key["on_split"], labels=self.labels or None, samples=1,
                ).batches  # fmt: skip
        return tuple(lent_copy(replace(batch, cache={}), job.method) for batch in self._batches[name])


def _key(job: Job) -> dict[str, Any]:
    """Everything that may change the weights of a job's method."""
    return {name: job.key[name] for name in ("fingerprint", "dtype", "trained_on", "max_tokens", "on_split", "method", "seed")}
