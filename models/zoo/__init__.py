"""Models that come with the package, so that a first run needs no network. No torch here: `load_model` reads the folders."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType

from ...core.errors import UnknownName

__all__ = ["ZOO", "zoo_path"]

NAMES = ("agreement-bert",)
ZOO: Mapping[str, Path] = MappingProxyType({name: Path(str(files(__package__).joinpath(name))) for name in NAMES})
"""Each embedded model's folder, a Hugging Face checkpoint."""


def zoo_path(name: str) -> Path:
    """The folder of an embedded model.

    Raises:
        UnknownName: No embedded model has this name.
    """
    if name not in ZOO:
        raise UnknownName("embedded model", name, ZOO)
    return ZOO[name]
