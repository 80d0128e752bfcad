"""A model as a plan names it: found, fingerprinted and loaded when first needed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.errors import UnknownName, UsageError
from ...core.registry import Spec, parameters, settings
from ...models.registry import MODELS, is_built
from ...models.zoo import ZOO
from ..store.model_fingerprint import model_fingerprint

if TYPE_CHECKING:
    from ...models.layered import Layered


def check_model(name: str) -> None:
    """Refuses what can be neither an embedded model, one that is made, a folder nor a name on the Hub.

    Raises:
        UsageError: With near matches.
    """
    folder = Path(name).expanduser()
    if name in ZOO or folder.is_dir():
        return
    if is_built(name):
        MODELS.create(name)
    elif name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise UnknownName("model", name, [*ZOO, *MODELS.entries()], "A folder must exist and hold a Hugging Face checkpoint.")


def model_source(name: str) -> str:
    """Where an embedded model is, else the name itself."""
    return str(ZOO[name]) if name in ZOO else name


def shown_name(name: str) -> str:
    """What results call a model: a folder goes by its last part, also among settings; where data are is left out."""
    if is_built(name):
        spec = Spec.parse(name)
        given = {key: _last_part(value) for key, value in spec.settings.items() if key != "data_dir"}
        tail = ",".join(f"{key}={value}" for key, value in given.items())
        return f"{spec.name}:{tail}" if tail else spec.name
    folder = Path(name).expanduser()
    return folder.resolve().name if name not in ZOO and folder.is_dir() else name


def _last_part(value: Any) -> Any:
    """A folder's name alone; anything else as it is."""
    folder = Path(str(value)).expanduser()
    return folder.resolve().name if isinstance(value, str) and folder.is_dir() else value


def quieten() -> None:
    """Switches off the bars and the advice of transformers and the Hub."""
    for name, value in (
        ("HF_HUB_DISABLE_PROGRESS_BARS", "1"),
        ("TRANSFORMERS_VERBOSITY", "error"),
        ("TOKENIZERS_PARALLELISM", "false"),
    ):
        os.environ.setdefault(name, value)
    from transformers.utils import logging

    logging.set_verbosity_error()
    logging.disable_progress_bar()


@dataclass(eq=False)
class ModelHandle:
    """A model that a plan asks for.

    Attributes:
        name: As the plan has it.
        store: URL of the store, where a model that is trained here is kept.
        dtype: Floating-point type of the weights.
        device: A torch device; `auto`: the GPU if there is one.
        revision: Branch, tag or commit on the Hub.
        quiet: Shows no progress bar.
        data_dir: Folder of published data sets, for models that are trained on them and name none themselves.
    """

    name: str
    store: str
    dtype: str = "float32"
    device: str = "auto"
    revision: str | None = None
    quiet: bool = True
    data_dir: str | None = None
    _loaded: Layered | None = None
    _fingerprint: str | None = None

    @property
    def shown(self) -> str:
        """What results call it."""
        return shown_name(self.name)

    def fingerprint(self) -> str:
        """Sha256 of what may change its numbers; from its files where there are any, else it is loaded."""
        source = model_source(self.name)
        if self._fingerprint is None and not is_built(self.name):
            self._fingerprint = model_fingerprint(source, self.revision)
            if self._fingerprint is None:  # not on this machine yet
                self.load()
                self._fingerprint = model_fingerprint(source, self.revision)
        if self._fingerprint is None:
            self._fingerprint = self.load().fingerprint()
        return self._fingerprint

    def load(self) -> Layered:
        """The model, in evaluation mode.

        Raises:
            UsageError: It cannot be had.
        """
        if self._loaded is None:
            quieten()
            import torch

            place = ("cuda" if torch.cuda.is_available() else "cpu") if self.device == "auto" else self.device
            self._loaded = self._make(place) if is_built(self.name) else self._fetch(place)
            self._loaded.name = self.shown
        return self._loaded

    def _fetch(self, place: str) -> Layered:
        from ...models.load import load_model

        return load_model(self.name, self.dtype, place, self.revision)

    def _make(self, place: str) -> Layered:
        from ...models.load import DTYPES, check_device
        from .trained_weights import TrainedWeights

        if self.revision is not None:
            raise UsageError(f"model {self.name!r} is made by flowgauge and has no revisions.")
        maker = self._maker()
        weights = {}
        if hasattr(maker, "fit"):
            known = maker.identity() if hasattr(maker, "identity") else settings(maker)
            key = {"model": maker.name, "version": maker.version, "settings": known}
            weights = TrainedWeights(self.store, self.quiet).weights(maker.name, key, getattr(maker, "seed", 0), maker.fit)
        made: Layered = maker.build(weights)
        return made.to(check_device(place), DTYPES[self.dtype])

    def _maker(self) -> Any:
        spec = Spec.parse(self.name)
        if self.data_dir and "data_dir" in parameters(MODELS.factory(spec.name)):
            spec = Spec(spec.name, {"data_dir": self.data_dir, **spec.settings})
        return MODELS.create(spec)
