"""The software and the machine of this process, for records; no part of a cell's key."""

from __future__ import annotations

import platform
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

from ...models.layered import Layered
from ..store.record import Provenance

PACKAGES = ("torch", "transformers", "numpy", "scipy", "captum", "tokenizers", "safetensors", "pandas")


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
        commit=_commit(),
        command=command_line(sys.argv),
    )


@cache
def _commit() -> str:
    """The commit of this file's checkout; empty where it is in none, as after an installation from a package index."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(Path(__file__).resolve().parent), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=10).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", Path(__file__).name)  # an environment may lie in another project's checkout
        return git("rev-parse", "HEAD") + ("+changes" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return ""


def command_line(arguments: Sequence[str]) -> str:
    """The command that called flowgauge, without the folders of its absolute paths: they say more of a machine than of a result.

    Args:
        arguments: Program and arguments, as in `sys.argv`.

    Returns:
        The command; empty where another program called flowgauge.

    >>> command_line(["/usr/bin/flowgauge", "run", "--model", "/home/me/bert", "--task=/data/my set.tsv"])
    "flowgauge run --model bert '--task=my set.tsv'"
    >>> command_line(["/home/me/experiment.py"])
    ''
    """
    if Path(arguments[0]).name != "flowgauge":
        return ""
    return shlex.join(["flowgauge", *(re.sub(r"(^|=|:)~?/.*/", r"\1", argument) for argument in arguments[1:])])


def versions(names: Sequence[str]) -> dict[str, str]:
    """The installed version of each package."""
    return {name: _version(name) for name in names}


@cache
def _version(name: str) -> str:
    """Looking it up takes milliseconds, and every record has eight."""
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
