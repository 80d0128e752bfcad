"""Trains the methods that are trained, each once for a model, a task and a seed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ...models.batch import Batch
from ...models.inputs.encode import batches
from ...models.layered import Layered
from ..store.key import canonical
from .jobs import Job
from .trained_weights import TrainedWeights

BATCH_SIZE = 64


@dataclass(eq=False)
class MethodTrainer:
    """Hands out methods that are ready to explain.

    Attributes:
        fits: Where what is trained is kept.
        model: What is explained.
        labels: The model's output of each class of the task.
    """

    fits: TrainedWeights
    model: Layered
    labels: Mapping[str, int]
    _ready: dict[int, Any] = field(default_factory=dict)
    _read: dict[str, tuple[Batch, ...]] = field(default_factory=dict)

    def ready(self, job: Job) -> Any:
        """The job's method; trained, if it is one that is.

        Raises:
            FlowgaugeError: The training failed.
        """
        if job.train is None:
            return job.method
        if id(job) not in self._ready:
            self._ready[id(job)] = job.method.trained(self._weights(job))
        return self._ready[id(job)]

    def _weights(self, job: Job) -> dict[str, Any]:
        key = {name: job.key[name] for name in ("fingerprint", "dtype", "trained_on", "max_tokens", "on_split", "method", "seed")}

        def fit(training: Any) -> Any:
            return job.method.fit(self.model, self._data(job), training)

        return self.fits.weights(job.name, key, job.seed, fit)

    def _data(self, job: Job) -> tuple[Batch, ...]:
        """The train split as batches, encoded once for all methods, without what a method before left in their caches."""
        asked = canonical({name: job.key[name] for name in ("trained_on", "max_tokens", "on_split")})
        if asked not in self._read:
            self._read[asked] = batches(
                self.model, job.train.instances, job.train.key.quantity, batch_size=BATCH_SIZE, max_tokens=job.key["max_tokens"],
                on_split=job.key["on_split"], labels=self.labels or None, samples=1,
            ).batches  # fmt: skip
        return tuple(replace(batch, cache={}) for batch in self._read[asked])
