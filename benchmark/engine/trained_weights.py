"""What is trained once and then used by many cells: probes of methods and small models. Kept in the store, apart from cells.

<store>/fits/<name>-<12 hex>/
    fit.json               key, status, seconds and the training curve; written last
    weights.safetensors    what was trained
    checkpoint.safetensors while it is trained
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Literal

import safetensors.torch
from pydantic import ValidationError
from safetensors import SafetensorError
from torch import Tensor

from ...core.errors import FlowgaugeError
from ...models.built.training import TrainingSession
from ..store.atomic_files import Files
from ..store.cell import safe_name
from ..store.key import canonical, short_hash
from ..store.record import TrainingRecord
from .progress import Progress

log = logging.getLogger(__name__)
PAUSE = 5.0
"""Seconds between checkpoints: more often would cost more than a kill loses."""


class TrainedWeights:
    """The trained things of a store.

    Args:
        url: Of the store.
        quiet: Shows no progress bar.
    """

    def __init__(self, url: str, quiet: bool = True) -> None:
        self.files, self.quiet = Files(url), quiet

    def folder(self, name: str, key: Mapping[str, Any]) -> str:
        """`<store>/fits/<name>-<12 hex>`."""
        return f"{self.files.root}/fits/{safe_name(name).replace('/', '_')}-{short_hash(key)}"

    def weights(
        self, name: str, key: Mapping[str, Any], seed: int, train: Callable[[TrainingSession], Mapping[str, Tensor]]
    ) -> dict[str, Tensor]:
        """What was trained under this key; trained now, or to its end, where it is not whole.

        Raises:
            FlowgaugeError: The training failed; its curve is kept, and the same call tries again.
        """
        folder = self.folder(name, key)
        found = self._stored(folder)
        if found is not None:
            return found
        tracked = TrackedTraining(self, folder, name, dict(key), seed)
        return tracked.run(train)

    def _stored(self, folder: str) -> dict[str, Tensor] | None:
        fit, data = self.read(folder), self.files.read(f"{folder}/weights.safetensors")
        if fit is None or fit.status != "done" or data is None:
            return None
        with suppress(SafetensorError, ValueError):
            if fit.weights in ("", hashlib.sha256(data).hexdigest()):  # the first records had no sum
                return safetensors.torch.load(data)
        log.warning("%s/weights.safetensors is damaged and is trained anew.", folder)
        return None

    def read(self, folder: str) -> TrainingRecord | None:
        """The record of a training, None where there is none or it is not whole."""
        data = self.files.read(f"{folder}/fit.json")
        try:
            return None if data is None else TrainingRecord.model_validate_json(data)
        except ValidationError:
            return None


@dataclass
class TrackedTraining:
    """A training whose checkpoints, curve and progress go to the store."""

    fits: TrainedWeights
    folder: str
    name: str
    key: dict[str, Any]
    seed: int
    curve: list[dict[str, float]] = field(default_factory=list)
    seconds: float = 0.0
    _started: float = 0.0
    _written: float = 0.0
    _progress: Progress | None = None

    def run(self, train: Callable[[TrainingSession], Mapping[str, Tensor]]) -> dict[str, Tensor]:
        self._started = time.monotonic()
        self._progress = Progress(0, self.fits.quiet)
        with self._progress:
            try:
                weights = {name: tensor.detach().cpu().contiguous() for name, tensor in train(self).items()}
            except FlowgaugeError as error:
                self._finish("failed", str(error))
                raise
        metadata = {"flowgauge": canonical({"name": self.name, "key": self.key})}
        written = self.fits.files.write(f"{self.folder}/weights.safetensors", safetensors.torch.save(weights, metadata))
        self._finish("done", weights=written)
        return weights

    def resume(self) -> dict[str, Tensor]:
        """Tensors of the last checkpoint of this very training; empty at the start."""
        data = self.fits.files.read(f"{self.folder}/checkpoint.safetensors")
        if data is None:
            return {}
        try:
            header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
            kept = json.loads(header["__metadata__"]["flowgauge"])
            tensors = safetensors.torch.load(data)
            same = kept.get("key") in (None, short_hash(self.key))  # the first checkpoints named none
            curve, seconds = kept["curve"], kept["seconds"]
        except (SafetensorError, ValueError, KeyError, TypeError, AttributeError):
            log.warning("%s: a damaged checkpoint is left out; training starts anew.", self.folder)
            return {}
        if not same:
            log.warning("%s: a checkpoint of another training is left out; training starts anew.", self.folder)
            return {}
        self.curve, self.seconds = curve, seconds
        return tensors

    def checkpoint(self, tensors: Mapping[str, Tensor]) -> None:
        """Writes tensors and the curve so far, if the last time was a while ago."""
        if time.monotonic() - self._written < PAUSE:
            return
        whole = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in tensors.items()}
        kept = json.dumps({"key": short_hash(self.key), "curve": self.curve, "seconds": self._elapsed()})
        self.fits.files.write(f"{self.folder}/checkpoint.safetensors", safetensors.torch.save(whole, {"flowgauge": kept}))
        self._written = time.monotonic()

    def log(self, step: int, steps: int, **numbers: float) -> None:
        """One row of the curve, and progress."""
        self.curve.append({"step": step, **{name: float(value) for name, value in numbers.items()}})
        assert self._progress is not None
        self._progress.at(f"training {self.name}", step, steps)

    def _elapsed(self) -> float:
        return self.seconds + time.monotonic() - self._started

    def _finish(self, status: Literal["done", "failed"], error: str = "", weights: str = "") -> None:
        key, seconds = json.loads(canonical(self.key)), self._elapsed()
        fit = TrainingRecord(key=key, status=status, error=error, seconds=seconds, curve=self.curve, weights=weights)
        self.fits.files.write(f"{self.folder}/fit.json", fit.model_dump_json(indent=1).encode())
        with suppress(FileNotFoundError):  # there was none, or another process that trained the same was first
            self.fits.files.remove(f"{self.folder}/checkpoint.safetensors")
