"""The software and the machine of this process, for records; no part of a cell's key."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

import torch

from ...models.layered import Layered
from ..store.record import Provenance

PACKAGES = ("torch", "transformers", "numpy", "tokenizers", "safetensors", "pandas")


def provenance(model: Layered, batch_size: int) -> Provenance:
    """Versions, platform, device and threads of this process.

    Args:
        model: The model, which says what device is used.
        batch_size: Instances of the largest batch.
    """
    return Provenance(
        flowgauge=_version("flowgauge"),
        python=platform.python_version(),
        platform=f"{platform.system()}-{platform.machine()}",  # not the kernel's build, which identifies a machine
        packages=versions(PACKAGES),
        device=torch.cuda.get_device_name(model.device) if model.device.type == "cuda" else str(model.device),
        threads=torch.get_num_threads(),
        batch_size=batch_size,
    )


def versions(names: Sequence[str]) -> dict[str, str]:
    """The installed version of each package."""
    return {name: _version(name) for name in names}


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
