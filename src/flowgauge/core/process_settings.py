"""What all code in a process shares, such as torch's default dtype: read before a plug-in runs, and set back after it."""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

RANDOM = "a global random state"
QUIET = (RANDOM, "environment variables", "the number of torch's threads", "numpy's handling of floating-point errors")
"""What libraries change as a matter of course when they are imported or draw: it is set back without a word."""


@dataclass(frozen=True)
class Setting:
    """One value that a process has once.

    Attributes:
        name: What messages call it; empty if they leave it out.
        read: Reads the value, in a form that `==` compares.
        write: Sets the value.
        default: The value in a process that has not set it: of a module that is loaded later it stands for the value before.
    """

    name: str
    read: Callable[[], Any]
    write: Callable[[Any], Any]
    default: Any = None


class ProcessSettings:
    """The settings of this process as they are now."""

    def __init__(self) -> None:
        self._values = {key: setting.read() for key, setting in _settings()}

    def restore(self) -> list[str]:
        """Sets back what has changed, and returns the name of each.

        >>> before = ProcessSettings()
        >>> os.environ["FLOWGAUGE_EXAMPLE"] = "1"
        >>> before.restore(), "FLOWGAUGE_EXAMPLE" in os.environ
        (['environment variables'], False)
        """
        changed = []
        for key, setting in _settings():
            before = self._values.get(key, setting.default)
            if before is not None and setting.read() != before:
                setting.write(before)
                changed.append(setting.name)
        return list(dict.fromkeys(filter(None, changed)))


def _settings() -> Iterator[tuple[tuple[str, str], Setting]]:
    """The settings of Python, and of numpy and torch where they are loaded, with a key each."""
    for module, settings in (("os", _of_python), ("numpy", _of_numpy), ("torch", _of_torch)):
        if hasattr(sys.modules.get(module), "random" if module != "os" else "environ"):  # not while it is being imported
            for setting in settings(sys.modules[module]):
                yield (module, setting.name), setting


def _of_python(os: Any) -> Iterator[Setting]:
    yield Setting("the working folder", os.getcwd, os.chdir)
    yield Setting("environment variables", lambda: dict(os.environ), _set_environment)
    yield Setting("", random.getstate, random.setstate)  # beartype, which checks types while tests run, draws from it too


def _set_environment(values: dict[str, str]) -> None:
    os.environ.clear()
    os.environ.update(values)


def _of_numpy(numpy: Any) -> Iterator[Setting]:
    def random_state() -> tuple[Any, ...]:
        kind, keys, *rest = numpy.random.get_state()
        return (kind, tuple(keys.tolist()), *rest)

    yield Setting(RANDOM, random_state, numpy.random.set_state)
    yield Setting("numpy's handling of floating-point errors", numpy.geterr, lambda handling: numpy.seterr(**handling))


def _of_torch(torch: Any) -> Iterator[Setting]:
    def set_device(device: Any) -> None:
        torch.set_default_device(None if device.type == "cpu" else device)

    def random_states() -> list[bytes]:
        on_gpus = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
        return [state.numpy().tobytes() for state in (torch.get_rng_state(), *on_gpus)]

    def set_random_states(states: list[bytes]) -> None:
        cpu, *on_gpus = (torch.frombuffer(bytearray(state), dtype=torch.uint8) for state in states)
        torch.set_rng_state(cpu)
        torch.cuda.set_rng_state_all(on_gpus)

    def set_autocast(enabled: bool) -> None:
        torch.set_autocast_enabled("cpu", enabled)

    yield Setting("torch's default dtype", torch.get_default_dtype, torch.set_default_dtype, torch.float32)
    yield Setting("torch's default device", torch.get_default_device, set_device, torch.device("cpu"))
    yield Setting("torch's gradient mode", torch.is_grad_enabled, torch.set_grad_enabled, True)
    yield Setting("torch's autocast", lambda: torch.is_autocast_enabled("cpu"), set_autocast, False)
    deterministic = torch.are_deterministic_algorithms_enabled, torch.use_deterministic_algorithms
    yield Setting("torch's deterministic mode", *deterministic, False)
    yield Setting("torch's matmul precision", torch.get_float32_matmul_precision, torch.set_float32_matmul_precision, "highest")
    yield Setting("the number of torch's threads", torch.get_num_threads, torch.set_num_threads)
    yield Setting(RANDOM, random_states, set_random_states)
    hooks = {
        name: value for name, value in vars(torch.nn.modules.module).items()
        if name.startswith("_global_") and isinstance(value, dict)
    }  # fmt: skip

    def set_hooks(values: dict[str, dict[Any, Any]]) -> None:
        for name, value in values.items():
            hooks[name].clear()
            hooks[name].update(value)

    yield Setting("hooks on all modules", lambda: {k: dict(v) for k, v in hooks.items()}, set_hooks, {k: {} for k in hooks})
