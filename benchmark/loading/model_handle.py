"""A model as a plan names it: looked up and fingerprinted, and loaded when first needed."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ...core.errors import UnknownName, UsageError
from ...core.foreign_code import plugin_call
from ...core.plugin_source import source_hash
from ...core.registry import Spec, parameters, settings
from ...models.checkpoint import open_checkpoint
from ...models.families.registry import default_baseline
from ...models.registry import MODELS, is_built
from ...models.zoo import ZOO
from ..store.key import short_hash
from .model_fingerprint import model_fingerprint

if TYPE_CHECKING:
    from ...models.baseline import Baseline
    from ...models.layered import Layered


class NotTrained(UsageError):
    """A model has to be trained before it can be loaded, and nothing may be written."""


def check_model(name: str) -> None:
    """Checks that a name can be that of an embedded model, of one that flowgauge builds, of a folder or of a model on the Hub.

    Raises:
        UnknownName: It can be none of these; with near matches.
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
    """What results call a model: of a folder its last part, also in settings; the folder of published data is left out."""
    if is_built(name):
        spec = Spec.parse(name)
        tail = ",".join(f"{key}={_last_part(value)}" for key, value in spec.settings.items() if key != "data_dir")
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
    """A model that a plan names.

    Attributes:
        name: The name as the plan has it.
        store: URL of the store, where the weights of a model that flowgauge trains are kept.
        dtype: Floating-point type of the weights.
        device: A torch device; `auto`: the GPU if there is one.
        revision: Branch, tag or commit on the Hub.
        quiet: Shows no progress bar.
        data_dir: Folder of published data sets, for models that are trained on them and name none themselves.
        display_name: What results call it; None: what `shown_name` makes of its name.
        read_only: Whether nothing may be written, so that a model that has to be trained first is not loaded.
    """

    name: str
    store: str
    dtype: str = "float32"
    device: str = "auto"
    revision: str | None = None
    quiet: bool = True
    data_dir: str | None = None
    display_name: str | None = None
    read_only: bool = False
    _loaded: Layered | None = None
    _fingerprint: str | None = None
    _baseline: Baseline | None = None

    @property
    def shown(self) -> str:
        """The name by which results list the model."""
        return self.display_name or shown_name(self.name)

    def fingerprint(self) -> str:
        """Sha256 of what may change its numbers: of its files where it has any, else of its weights, for which it is loaded."""
        source = model_source(self.name)
        if self._fingerprint is None and not is_built(self.name):
            checkpoint = open_checkpoint(self.name, self.revision)
            checkpoint.check_family()
            checkpoint.head()
            self._fingerprint = model_fingerprint(source, self.revision)
            if self._fingerprint is None:  # its files are not on this machine yet
                self.load()
                self._fingerprint = model_fingerprint(source, self.revision)
        if self._fingerprint is None:
            model = self.load()
            source = source_hash(model)  # of a user's own class of models, whose code its weights do not show
            self._fingerprint = model.fingerprint() if not source else short_hash([model.fingerprint(), source], 64)
        return self._fingerprint

    def default_baseline(self) -> Baseline:
        """What removed words become where nobody says: by the family in the configuration, else as the loaded model says."""
        if self._baseline is None and is_built(self.name):
            self._baseline = getattr(self.load(), "default_baseline", None)
        elif self._baseline is None:
            self._baseline = default_baseline(str(open_checkpoint(self.name, self.revision).config.get("model_type")))
        return self._baseline or "mask"

    def load(self) -> Layered:
        """The model in evaluation mode; loaded or built by the first call.

        Raises:
            UsageError: No such model, device or revision.
        """
        if self._loaded is None:
            quieten()
            import torch

            from ...models.load import load_model

            device = ("cuda" if torch.cuda.is_available() else "cpu") if self.device == "auto" else self.device
            if is_built(self.name):
                self._loaded = self._build(device)
            else:
                self._loaded = load_model(self.name, self.dtype, device, self.revision)
        self._loaded.name = self.shown
        return self._loaded

    def _build(self, device: str) -> Layered:
        from ...models.load import DTYPES, check_device
        from .trained_weights import TrainedWeights

        if self.revision is not None:
            raise UsageError(f"model {self.name!r} is built by flowgauge and has no revisions: leave the revision out.")
        builder, torch_device, weights = self._builder(), check_device(device), {}
        with plugin_call("model", builder):
            if hasattr(builder, "fit"):
                identity = builder.identity() if hasattr(builder, "identity") else settings(builder)
                key = {"model": builder.name, "version": builder.version, "settings": identity}
                if source := source_hash(builder):
                    key["source"] = source
                trained_weights = TrainedWeights(self.store, self.quiet)
                if self.read_only and trained_weights.stored(trained_weights.folder(builder.name, key)) is None:
                    raise NotTrained(f"model {self.shown!r} is trained first, which a dry run does not do.")
                weights = trained_weights.weights(builder.name, key, getattr(builder, "seed", 0), builder.fit)
            model: Layered = builder.build(weights)
            return model.to(torch_device, DTYPES[self.dtype])

    def _builder(self) -> Any:
        spec = Spec.parse(self.name)
        if self.data_dir and "data_dir" in parameters(MODELS.factory(spec.name)):
            spec = Spec(spec.name, {"data_dir": self.data_dir, **spec.settings})
        return MODELS.create(spec)
