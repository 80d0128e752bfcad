"""Weights that are trained once and then used by many cells: of methods and of small models. The store keeps them beside cells.

<store>/fits/<name>-<12 hex>/
    fit.json               key, status, seconds and the training curve; written last
    weights.safetensors    the trained weights
    checkpoint.safetensors the last checkpoint; only while the training runs
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

import safetensors.torch
from pydantic import ValidationError
from safetensors import SafetensorError
from torch import Tensor

from ...core.errors import FlowgaugeError
from ...core.progress import Progress
from ...models.built.training import TrainingSession
from ..store.atomic_files import Files
from ..store.cell import safe_name
from ..store.explanation_file import read_metadata
from ..store.key import canonical, short_hash
from ..store.record import TrainingOutcome, TrainingRecord
from ..store.sums import BLANK, DamagedFile, seal

log = logging.getLogger(__name__)
PAUSE = 5.0
"""Time between two checkpoints (s). More of them would cost more time than a killed run loses."""


class TrainedWeights:
    """The trained weights of a store.

    Args:
        url: URL of the store.
        quiet: Shows no progress bar.
    """

    def __init__(self, url: str, quiet: bool = True) -> None:
        self.files, self.quiet = Files(url), quiet

    def folder(self, name: str, key: Mapping[str, Any]) -> str:
        """The folder of one training: `<store>/fits/<name>-<12 hex>`."""
        return f"{self.files.root}/fits/{safe_name(name).replace('/', '_')}-{short_hash(key)}"

    def weights(
        self, name: str, key: Mapping[str, Any], seed: int, train: Callable[[TrainingSession], Mapping[str, Tensor]]
    ) -> dict[str, Tensor]:
        """The weights that were trained under a key. If there are none yet, they are trained now, from the last checkpoint on.

        Args:
            name: Name of the method or model that is trained.
            key: Everything that may change the weights.
            seed: Seed of the training.
            train: Trains in a session and returns the weights by name.

        Raises:
            FlowgaugeError: The training failed; its curve is kept, and the same call tries again.
        """
        folder = self.folder(name, key)
        self.files.sweep(folder)
        stored = self.stored(folder)
        if stored is not None:
            return stored
        return TrackedTraining(self, folder, name, dict(key), seed).run(train)

    def stored(self, folder: str) -> dict[str, Tensor] | None:
        """The finished weights of a training; None where there are none or they are damaged."""
        record = self.read(folder)
        if record is None or record.status != "done":
            return None
        try:  # the first records had no checksum
            data = self.files.read(f"{folder}/weights.safetensors", record.weights)
            return None if data is None else safetensors.torch.load(data)
        except (DamagedFile, SafetensorError, ValueError):
            log.warning("%s/weights.safetensors is damaged: it is trained again.", folder)
            return None

    def is_done(self, folder: str) -> bool:
        """Whether the record of a training says that its weights are stored."""
        record = self.read(folder)
        return record is not None and record.status == "done"

    def read(self, folder: str) -> TrainingRecord | None:
        """The record of a training; None where there is none or it is damaged."""
        try:
            data = self.files.read(f"{folder}/fit.json")
            return None if data is None else TrainingRecord.model_validate_json(data)
        except (DamagedFile, ValidationError):
            log.warning("%s/fit.json is damaged: its weights are trained again.", folder)
            return None


@dataclass
class TrackedTraining:
    """A training session whose checkpoints, curve and record go to the store.

    Attributes:
        store: The store's trained weights.
        folder: The folder of this training.
        name: Name of the method or model that is trained.
        key: Everything that may change the weights.
        seed: Seed of the training.
        curve: One row a logged step.
        seconds: Duration of earlier sessions (s).
        outcome: How the training ended, if it has said so.
    """

    store: TrainedWeights
    folder: str
    name: str
    key: dict[str, Any]
    seed: int
    curve: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0
    outcome: TrainingOutcome | None = None
    _started: float = 0.0
    _written: float = 0.0
    _progress: Progress | None = None

    def run(self, train: Callable[[TrainingSession], Mapping[str, Tensor]]) -> dict[str, Tensor]:
        """Trains, and stores the weights and the record.

        Raises:
            FlowgaugeError: The training failed; its record says why.
        """
        self._started = time.monotonic()
        self._progress = Progress(0, self.store.quiet)
        with self._progress:
            try:
                weights = {name: tensor.detach().cpu().contiguous() for name, tensor in train(self).items()}
            except FlowgaugeError as error:
                self._finish("failed", str(error))
                raise
        metadata = {"flowgauge": canonical({"name": self.name, "key": self.key, "seal": BLANK})}
        data = seal(safetensors.torch.save(weights, metadata))
        with self.store.files.alone():
            stored = self.store.stored(self.folder)
            if stored is not None:  # another process trained the same in the meantime
                self._remove_checkpoint()
                return stored
            checksum = self.store.files.write(f"{self.folder}/weights.safetensors", data)
            self._finish("done", checksum=checksum)
        return weights

    def resume(self) -> dict[str, Tensor]:
        """The tensors of the last checkpoint of this training; empty where there is none."""
        try:
            data = self.store.files.read(f"{self.folder}/checkpoint.safetensors")
            if data is None:
                return {}
            state = read_metadata(data)
            tensors = safetensors.torch.load(data)
            is_own = state.get("key") in (None, short_hash(self.key))  # the first checkpoints stored no key
            curve, seconds = state["curve"], state["seconds"]
        except (DamagedFile, SafetensorError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            log.warning("%s: a damaged checkpoint is left out; training starts from the beginning.", self.folder)
            return {}
        if not is_own:
            log.warning("%s: a checkpoint of another training is left out; training starts from the beginning.", self.folder)
            return {}
        self.curve, self.seconds = curve, seconds
        return tensors

    def checkpoint(self, tensors: Mapping[str, Tensor]) -> None:
        """Writes tensors and the curve so far, unless that was done less than `PAUSE` ago."""
        if time.monotonic() - self._written < PAUSE:
            return
        copies = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
        state = json.dumps({"key": short_hash(self.key), "curve": self.curve, "seconds": self._elapsed(), "seal": BLANK})
        data = seal(safetensors.torch.save(copies, {"flowgauge": state}))
        self.store.files.write(f"{self.folder}/checkpoint.safetensors", data)
        self._written = time.monotonic()

    def log(self, step: int, steps: int, **numbers: float) -> None:
        """Adds one row to the curve and shows the progress: `step` of `steps`."""
        self.curve.append({"step": step, **{name: float(value) for name, value in numbers.items()}})
        assert self._progress is not None
        self._progress.update(f"training {self.name}", step, steps)

    def conclude(self, converged: bool | None, warnings: Sequence[str] = (), restarts: int = 0, **numbers: float) -> None:
        """Keeps how the training ended, for its record."""
        self.outcome = TrainingOutcome(converged=converged, warnings=tuple(warnings), restarts=restarts, numbers=numbers)

    def _elapsed(self) -> float:
        return self.seconds + time.monotonic() - self._started

    def _finish(self, status: Literal["done", "failed"], error: str = "", checksum: str = "") -> None:
        key, seconds = json.loads(canonical(self.key)), self._elapsed()
        record = TrainingRecord(key=key, status=status, error=error, seconds=seconds, curve=self.curve, weights=checksum)
        if status == "done":
            record = record.model_copy(update={"outcome": self.outcome})
        self.store.files.write(f"{self.folder}/fit.json", record.to_bytes())
        self._remove_checkpoint()

    def _remove_checkpoint(self) -> None:
        with suppress(FileNotFoundError):  # there was none, or another process that trained the same removed it
            self.store.files.remove(f"{self.folder}/checkpoint.safetensors")
