"""Settings of the process are set back to what they were, and each that had changed is named."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from flowgauge.core import errors
from flowgauge.core.process_settings import RANDOM, ProcessSettings

CHANGES: dict[str, tuple[str, Callable[[], Any], Callable[[], Any]]] = {
    "dtype": ("torch's default dtype", lambda: torch.set_default_dtype(torch.float64), torch.get_default_dtype),
    "device": ("torch's default device", lambda: torch.set_default_device("meta"), torch.get_default_device),
    "gradients": ("torch's gradient mode", lambda: torch.set_grad_enabled(False), torch.is_grad_enabled),
    "autocast": (
        "torch's autocast",
        lambda: torch.set_autocast_enabled("cpu", True),
        lambda: torch.is_autocast_enabled("cpu"),
    ),
    "deterministic": (
        "torch's deterministic mode",
        lambda: torch.use_deterministic_algorithms(True),
        torch.are_deterministic_algorithms_enabled,
    ),
    "precision": (
        "torch's matmul precision",
        lambda: torch.set_float32_matmul_precision("medium"),
        torch.get_float32_matmul_precision,
    ),
    "hooks": (
        "hooks on all modules",
        lambda: torch.nn.modules.module.register_module_forward_hook(lambda *_: None),
        lambda: len(torch.nn.modules.module._global_forward_hooks),
    ),
    "torch's seed": (RANDOM, lambda: torch.manual_seed(5), lambda: torch.get_rng_state().tolist()),
    "numpy's seed": (RANDOM, lambda: np.random.seed(5), lambda: np.random.get_state()[1].tolist()),  # type: ignore[index]
    "seed": ("", lambda: random.seed(5), random.getstate),
    "errors": ("numpy's handling of floating-point errors", lambda: np.seterr(divide="raise"), np.geterr),
    "environment": ("environment variables", lambda: os.environ.update(HOME="/"), lambda: dict(os.environ)),
    "modules": ("imported modules", lambda: sys.modules.pop("json"), lambda: sys.modules.get("json")),
    "streams": ("the streams of the process", lambda: setattr(sys, "stdout", None), lambda: sys.stdout),
    "signals": (
        "what signals do",
        lambda: signal.signal(signal.SIGTERM, signal.SIG_IGN),
        lambda: signal.getsignal(signal.SIGTERM),
    ),
    "functions": ("functions of other modules", lambda: setattr(np, "mean", print), lambda: np.mean),
    "our functions": ("functions of other modules", lambda: setattr(errors, "quoted", print), lambda: errors.quoted),
    "folder": ("the working folder", lambda: os.chdir("/"), os.getcwd),
}


@pytest.mark.parametrize(("name", "change", "read"), CHANGES.values(), ids=CHANGES)
def test_a_setting_is_set_back(
    name: str, change: Callable[[], Any], read: Callable[[], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    before, settings = read(), ProcessSettings()
    assert settings.restore() == []
    change()
    assert read() != before
    restored = settings.restore()
    assert read() == before and (name in restored if name else restored == [])


def test_torch_that_is_loaded_later_gets_its_defaults() -> None:
    code = (
        "from flowgauge.core.process_settings import ProcessSettings\nbefore = ProcessSettings()\nimport torch\n"
        'torch.set_default_dtype(torch.float64)\nassert before.restore() == ["torch\'s default dtype"]\n'
        "assert torch.get_default_dtype() == torch.float32"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_libraries_that_change_themselves_when_they_are_imported_change_no_setting() -> None:
    """In a process of its own, since here they are imported: transformers replaces itself, torch's compiler wraps a function."""
    code = (
        "from flowgauge.core.process_settings import QUIET, ProcessSettings\n"
        "import torch, transformers\n"
        "before = ProcessSettings()\n"
        "transformers.BertModel\n"
        "import torch._dynamo\n"
        "assert {*before.restore()} <= {*QUIET}\n"
        "torch.manual_seed = print\n"
        "assert before.restore() == ['functions of other modules']\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
