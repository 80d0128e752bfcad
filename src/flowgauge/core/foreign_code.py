"""Runs code that a plug-in brings, so that it cannot end the process, leave the process changed, or fail in silence."""

from __future__ import annotations

import inspect
import logging
import os
import sys
import sysconfig
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NoReturn

from .errors import FlowgaugeError, in_words
from .process_settings import QUIET, RANDOM, ProcessSettings

log = logging.getLogger(__name__)
NOT_USERS = (Path(__file__).parents[1], *(Path(sysconfig.get_path(n)) for n in ("stdlib", "platstdlib", "purelib", "platlib")))
"""Folders of flowgauge, of Python and of installed packages."""


class PluginFault(FlowgaugeError):
    """Code of a plug-in failed; the text says how in words, and where."""


class _Ended(BaseException):
    """What a plug-in meets that would end the process; no `except Exception` of its own holds it up."""


def defined_by(plugin: Any) -> Any:
    """The class or function that a plug-in's author wrote."""
    is_definition = inspect.isclass(plugin) or inspect.isfunction(plugin)
    return getattr(plugin, "function", None) or (plugin if is_definition else type(plugin))


def is_foreign(plugin: Any) -> bool:
    """Whether a plug-in, or the class of a model, comes from outside flowgauge."""
    return not defined_by(plugin).__module__.startswith("flowgauge.")


def source_file(plugin: object) -> Path | None:
    """The file that defines a plug-in from outside flowgauge; None for a built-in one, and where there is no file."""
    try:
        file = Path(inspect.getfile(defined_by(plugin))) if is_foreign(plugin) else None
    except (OSError, TypeError):
        return None
    return file if file is not None and file.is_file() else None


def is_users(file: Path) -> bool:
    """Whether a source file is a user's: neither flowgauge's, nor Python's, nor an installed library's."""
    homes = {*file.absolute().parents, *file.resolve().parents}
    return file.is_file() and homes.isdisjoint({*NOT_USERS, *(folder.resolve() for folder in NOT_USERS)})


@contextmanager
def faults_in_words(what: str, home: str | Path = "") -> Iterator[None]:
    """Turns whatever is raised, but for an interrupt by the user and errors of flowgauge, into one that says it in words.

    The log, which `--debug` shows, has the traceback.

    Args:
        what: What runs, for the log.
        home: The file of the plug-in; the line that is named is the innermost one of this file or of another file of the user's.

    Raises:
        PluginFault: What failed, and where.
    """
    try:
        yield
    except (KeyboardInterrupt, FlowgaugeError):
        raise
    except BaseException as error:
        log.debug("%s failed", what, exc_info=True)
        raise PluginFault(f"{in_words(error)}{_place(error, home)}") from error


def _place(error: BaseException, home: str | Path) -> str:
    """File and line of an error in the plug-in's code; empty if it passed through none."""
    places, trace = list[tuple[Path, int]](), error.__traceback__
    while trace is not None:
        places.append((Path(trace.tb_frame.f_code.co_filename), trace.tb_lineno))
        trace = trace.tb_next
    own = [f" ({file.name}, line {line})" for file, line in places if file == Path(home) or is_users(file)]
    return own[-1] if own else ""


@contextmanager
def foreign_code(what: str, home: str | Path = "", changed: list[str] | None = None) -> Iterator[None]:
    """Runs code of a plug-in: it cannot end the process, and settings of the process are afterwards what they were before.

    Args:
        what: What runs, such as `method 'mine'`.
        home: The file of the plug-in.
        changed: Takes the names of settings that it left changed, random states included, which is then no fault.

    Raises:
        PluginFault: It failed, or it left a setting changed on which other cells depend.
    """
    before = ProcessSettings()
    try:
        with faults_in_words(what, home), _kept_running():
            yield
    finally:
        restored = before.restore()
    if changed is not None:
        changed += [name for name in restored if name == RANDOM or name not in QUIET]
    elif loud := [name for name in restored if name not in QUIET]:
        raise PluginFault(f"it changed {' and '.join(loud)} and left it so: set it back before it ends.")


def users_threads() -> set[threading.Thread]:
    """The running threads that began in a function of a user's file, as those of libraries do not."""

    def starts_in(thread: threading.Thread) -> Path:
        function = getattr(thread, "_target", None) or type(thread).run
        code = getattr(getattr(function, "func", function), "__code__", None)
        return Path(code.co_filename if code else "")

    return {thread for thread in threading.enumerate() if is_users(starts_in(thread))}


@contextmanager
def plugin_call(kind: str, plugin: Any) -> Iterator[None]:
    """Runs a plug-in where its failure ends the command; the error names it. Flowgauge's own runs as it is.

    Raises:
        PluginFault: It failed, or it left a setting of the process changed.
    """
    if not is_foreign(plugin):
        yield
        return
    name = f"{kind} {getattr(plugin, 'name', '')!r}"
    try:
        with foreign_code(name, source_file(plugin) or ""):
            yield
    except PluginFault as fault:
        raise PluginFault(f"{name} failed: {fault}") from fault


@contextmanager
def _kept_running() -> Iterator[None]:
    """Functions that end the process without a word raise an error instead, except in processes that are forked meanwhile."""
    process, homes = os.getpid(), (os, sys.modules[os.name])
    originals = {name: getattr(os, name) for name in ("_exit", "abort", "execv", "execve")}

    def refuse(name: str) -> Any:
        def ended(*arguments: Any) -> NoReturn:
            if os.getpid() != process:
                originals[name](*arguments)
            raise _Ended(f"it called os.{name}, which ends Python at once")

        return ended

    def install(functions: dict[str, Any]) -> None:
        for home in homes:
            for name, function in functions.items():
                setattr(home, name, function)

    install({name: refuse(name) for name in originals})
    try:
        yield
    finally:
        install(originals)
