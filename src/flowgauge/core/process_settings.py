"""What all code in a process shares, such as torch's default dtype: read before a plug-in runs, and set back after it."""

from __future__ import annotations

import os
import random
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from operator import is_
from pathlib import Path
from typing import Any, cast

RANDOM = "a global random state"
QUIET = (RANDOM, "environment variables", "the number of torch's threads", "numpy's handling of floating-point errors")
"""What libraries change as a matter of course when they are imported or draw: it is set back without a word."""


COMPUTING = ("builtins", "math", "numpy", "torch", "torch.nn.functional")
"""Modules of others whose functions may not be replaced; those of flowgauge's own modules may not either."""


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
    yield Setting("imported modules", lambda: _Modules(sys.modules), sys.modules.update)
    if threading.current_thread() is threading.main_thread():  # no other may set them
        yield Setting("what signals do", _signal_handlers, _set_signal_handlers)
    yield Setting("the streams of the process", lambda: (sys.stdout, sys.stderr), _set_streams)
    yield Setting("functions of other modules", _Functions, _Functions.write)
    yield Setting("", random.getstate, random.setstate)  # beartype, which checks types while tests run, draws from it too


class _Modules(dict[str, Any]):
    """Modules by name; they are the same as earlier ones where none of those was removed or replaced, however many were added.

    A module that is loaded again from the same file, as transformers does with itself, is the same.
    """

    def __ne__(self, before: object) -> bool:
        changed = ((self.get(name), module) for name, module in cast(_Modules, before).items() if self.get(name) is not module)
        return any(self._are_other(now, module) for now, module in changed)

    @staticmethod
    def _are_other(now: Any, before: Any) -> bool:
        file = getattr(now, "__file__", None)
        return file is None or file != getattr(before, "__file__", None)


class _Functions(dict[str, dict[str, Any]]):
    """Functions of flowgauge's modules, and of those that it computes with, by the name of the module."""

    def __init__(self) -> None:
        names = [name for name in sys.modules if name.startswith("flowgauge.")] + [
            name for name in COMPUTING if name in sys.modules
        ]
        super().__init__({name: dict(getattr(sys.modules[name], "__dict__", {})) for name in names})

    def __ne__(self, before: object) -> bool:
        return any(True for _ in self._replaced(cast(_Functions, before)))

    def _replaced(self, before: _Functions) -> Iterator[tuple[str, str, Any]]:
        for module, values in before.items():
            now = self.get(module, values)
            if len(now) == len(values) and all(map(is_, now.values(), values.values())):
                continue
            functions = ((name, v) for name, v in values.items() if callable(v) and not isinstance(v, type))
            replaced = ((name, v) for name, v in functions if now.get(name) is not v)
            yield from ((module, name, v) for name, v in replaced if not _is_own(now.get(name), name, module))

    def write(self) -> None:
        """Sets each back that was replaced."""
        for module, name, value in _Functions()._replaced(self):
            setattr(sys.modules[module], name, value)


def _is_own(function: Any, name: str, module: str) -> bool:
    """Whether a function of this name was written in the package of a module: torch wraps one when its compiler is imported."""
    package = getattr(sys.modules[module.partition(".")[0]], "__file__", None)
    code = getattr(function, "__code__", None)
    named = getattr(function, "__name__", "") == name
    return named and package is not None and code is not None and Path(code.co_filename).is_relative_to(Path(package).parent)


def _set_streams(streams: tuple[Any, Any]) -> None:
    sys.stdout, sys.stderr = streams


def _set_signal_handlers(handlers: dict[int, Any]) -> None:
    for number, handler in handlers.items():
        if signal.getsignal(number) != handler:
            signal.signal(number, handler)


def _signal_handlers() -> dict[int, Any]:
    """What Python does on each signal; those that other code than Python handles are left out."""
    return {number: handler for number in signal.valid_signals() if (handler := signal.getsignal(number)) is not None}


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
