"""Plug-ins by name: built in, from an entry point of an installed package, or from a user's own file."""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, is_dataclass
from functools import lru_cache, partial
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import FunctionType, MappingProxyType, ModuleType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import yaml

from .errors import FlowgaugeError, UnknownName, UsageError, in_words, quoted
from .foreign_code import PluginFault, faults_in_words, foreign_code, is_foreign
from .plugin_docs import PluginDocs, plugin_docs, target_parts
from .plugin_source import forget_edited_imports

TYPE_NAMES = {int: "a whole number", float: "a number", bool: "true or false", str: "text"}
"""What messages call the types that settings can have."""


def check_name(kind: str, name: str) -> str:
    """Returns the name of a plug-in if it can stand in a command, a plan and the name of a folder.

    Raises:
        UsageError: It cannot.

    >>> check_name("method", "integrated-gradients")
    'integrated-gradients'
    """
    if not re.fullmatch(r"[A-Za-z0-9][\w.+-]*", name):
        raise UsageError(f"a {kind} cannot be called {quoted(name, 100)}: use letters, digits, '-', '_', '.' and '+'.")
    return name


@dataclass(frozen=True)
class Spec:
    """A plug-in as a user names it: `name`, `file.py` or `file.py:name`, with settings as `:key=value,key=value`.

    Attributes:
        name: The part before the settings.
        settings: The settings that the user gives; the others have their defaults.
    """

    name: str
    settings: Mapping[str, Any]

    @classmethod
    def parse(cls, text: str | Mapping[str, Any]) -> Spec:
        """Reads a word of the command line, or a mapping with `name` and settings as a plan file has it.

        The settings begin at the last colon before the first "=", so that a value may have colons.

        Raises:
            UsageError: No name, settings that cannot be read, or a setting given twice.

        >>> Spec.parse("influence-patterns:beam=4,rule=paper")
        Spec(name='influence-patterns', settings={'beam': 4, 'rule': 'paper'})
        """
        if not isinstance(text, str):
            if "name" not in text:
                raise UsageError(f"a plug-in in a plan needs the key `name`, got {quoted(dict(text), 100)}.")
            return cls(str(text["name"]), {str(k): v for k, v in text.items() if k != "name"})
        name = text.partition("=")[0].rpartition(":")[0] or text.rpartition(":")[0]  # a folder may have "=" in its name
        tail = text[len(name) + 1 :]
        if not name or "=" not in tail:
            return cls(text, {})
        pairs = [part.partition("=") for part in tail.split(",")]
        keys = [key.strip() for key, _, _ in pairs]
        if any(not sep or not key for key, sep, _ in pairs) or len(set(keys)) < len(keys):
            raise UsageError(f"cannot read the settings in {quoted(text, 200)}: write name:key=value,key=value, each key once.")
        try:
            return cls(name, {key: _value(value) for key, (_, _, value) in zip(keys, pairs, strict=True)})
        except (yaml.YAMLError, ValueError) as error:
            raise UsageError(
                f"cannot read the settings in {quoted(text, 200)}: write name:key=value with plain values."
            ) from error


def _value(text: str) -> Any:
    """A plain value as YAML reads it; numbers such as 5e-4, which YAML 1.1 reads as text, are numbers here."""
    value = yaml.safe_load(text)
    if isinstance(value, str) and re.fullmatch(r"[+-]?\d+(\.\d*)?[eE][+-]?\d+", value):
        return float(value)
    return value


@lru_cache(maxsize=32)
def _entry_points(read: Callable[..., Sequence[EntryPoint]], group: str, path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    """The entry points of a group; finding them reads every package on Python's path, so they are kept while the path stays."""
    return tuple(read(group=group))


class Registry:
    """The plug-ins of one kind.

    Args:
        kind: What messages call one of them, such as `method`.
        group: The group of entry points that other packages register in, such as `flowgauge.methods`.
        builtin: Name to target, `module:attribute`, or `module:attribute(text)` of a function whose first argument is this text;
            nothing is imported before it is needed.
    """

    def __init__(self, kind: str, group: str, builtin: Mapping[str, str]) -> None:
        self.kind, self.group, self.builtin = kind, group, MappingProxyType(dict(builtin))

    def entries(self) -> dict[str, str]:
        """Every known name with its target, built-in ones first."""
        return {**self.builtin, **{point.name: point.value for point in self._installed()}}

    def docs(self) -> dict[str, PluginDocs]:
        """Every known name with what is known of it without an import: of a plug-in from an entry point, its package."""
        builtin = {name: plugin_docs(target) for name, target in self.builtin.items()}
        return {**builtin, **{p.name: PluginDocs(f"from {p.dist.name if p.dist else p.module}") for p in self._installed()}}

    def _installed(self) -> list[EntryPoint]:
        """The entry points of installed packages; none can replace a built-in plug-in."""
        return [p for p in _entry_points(entry_points, self.group, tuple(sys.path)) if p.name not in self.builtin]

    def require(self, name: str) -> None:
        """Refuses a name that is neither known nor that of an existing Python file; nothing is imported.

        Raises:
            UsageError: There is no such file.
            UnknownName: There is no plug-in of that name; near matches are listed.
        """
        path, _ = plugin_file(name)
        if path is None:
            self._target(name)
        elif not path.is_file():
            raise UsageError(f"there is no file {path}.")

    def _target(self, name: str) -> str:
        known = self.entries()
        if name not in known:
            hint = f"`flowgauge list {self.kind}s` shows them; a file of your own is named file.py:name."
            raise UnknownName(self.kind, name, known, hint)
        return known[name]

    def factory(self, name: str) -> Callable[..., Any]:
        """Imports what builds a plug-in: a class, or a function with the settings as arguments.

        Args:
            name: A known name, or a plug-in in a Python file (`file.py`, `file.py:name`).

        Raises:
            UsageError: The file is missing, fails, or has no such plug-in.
            UnknownName: There is no plug-in of that name; near matches are listed.
        """
        path, name_in_file = plugin_file(name)
        if path is not None:
            return self._from_file(path, name_in_file)
        module, attribute, argument = target_parts(self._target(name))
        if name in self.builtin:
            factory: Callable[..., Any] = getattr(importlib.import_module(module), attribute)
            return _with_argument(factory, argument) if argument else factory
        try:
            with foreign_code(f"the module {module}"):
                factory = getattr(importlib.import_module(module), attribute)
        except PluginFault as fault:
            raise UsageError(f"{self.kind} {name!r} of the installed package {module} cannot be loaded: {fault}") from fault
        return factory

    def create(self, spec: str | Mapping[str, Any] | Spec) -> Any:
        """Builds a plug-in with its settings; its attribute `flowgauge_given` says which of them were given.

        Raises:
            UsageError: An unknown plug-in or setting, a setting without value, or a value that is refused; the text lists what is
                allowed.
        """
        spec = spec if isinstance(spec, Spec) else Spec.parse(spec)
        factory = self.factory(spec.name)
        known = parameters(factory)
        for key in spec.settings:
            if not known:
                raise UsageError(f"{self.kind} {spec.name!r} has no settings, but was given {key!r}.")
            if key not in known:
                raise UnknownName(f"setting of {self.kind} {spec.name!r}", key, known)
        missing = [name for name, p in known.items() if p.default is p.empty and name not in spec.settings]
        if missing:
            raise UsageError(f"{self.kind} {spec.name!r} needs a value for {missing[0]!r}: {spec.name}:{missing[0]}=...")
        typed, home = _typed(f"{self.kind} {spec.name!r}", factory, spec.settings), plugin_file(spec.name)[0]
        try:
            what = f"{self.kind} {spec.name!r}"
            with foreign_code(what, home.absolute() if home else "") if is_foreign(factory) else faults_in_words(what):
                plugin = factory(**typed)
        except PluginFault as fault:
            reason = fault if is_foreign(factory) else in_words(fault.__cause__ or fault)
            given = quoted(dict(spec.settings), 200)
            raise UsageError(f"{self.kind} {spec.name!r} refused its settings {given}: {reason}") from fault
        with suppress(AttributeError, TypeError):  # a class of a user's may have slots
            object.__setattr__(plugin, "flowgauge_given", frozenset(spec.settings))
        return plugin

    def _from_file(self, path: Path, name: str) -> Callable[..., Any]:
        """The plug-in of this kind that a file declares under a name, or its only one where the name is empty."""
        module = load_file(path)
        declared: dict[str, Callable[..., Any]] = {}
        for value in declared_in(module):
            if value.flowgauge_kind == self.kind:
                declared[plugin_name(value)] = value
        if not declared:
            raise UsageError(f"{path} defines no {self.kind}: decorate one with @flowgauge.{self.kind}(...).")
        if name and name not in declared:
            raise UnknownName(self.kind, name, declared, f"(in {path})")
        if not name and len(declared) > 1:
            raise UsageError(f"{path} defines several {self.kind}s ({', '.join(sorted(declared))}): name one as {path}:name.")
        return declared[name] if name else next(iter(declared.values()))


def _with_argument(function: Callable[..., Any], argument: str) -> Callable[..., Any]:
    """A function whose first argument is set, with its docstring and its home."""
    bound = partial(function, argument)
    bound.__doc__, bound.__module__, bound.__name__ = function.__doc__, function.__module__, function.__name__  # type: ignore[attr-defined]
    return bound


def plugin_file(text: str) -> tuple[Path | None, str]:
    """The Python file that a plug-in's name begins with, or None, and the name after it: `a.py:b` is (`a.py`, `b`)."""
    parts = re.fullmatch(r"(.+\.py)(?::(.*))?", text)
    return (Path(parts[1]), parts[2] or "") if parts else (None, "")


def load_file(path: Path) -> ModuleType:
    """Imports a user's Python file under a module name that no other file has.

    Raises:
        UsageError: The file is missing or fails; the text names the line of the file.
    """
    if not path.is_file():
        raise UsageError(f"there is no file {path}.")
    name = "flowgauge_plugin_" + hashlib.sha256(str(path.resolve()).encode()).hexdigest()[:12]
    module = ModuleType(name)
    module.__file__ = str(path.absolute())
    try:
        source = path.read_bytes()
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}.") from error
    forget_edited_imports(path.absolute())
    sys.modules[name] = module
    try:
        with foreign_code(f"the file {path}", module.__file__):
            # Not by a loader of Python's: its cache overlooks an edit of equal length within the same second.
            exec(compile(source, module.__file__, "exec", dont_inherit=True), vars(module))
    except FlowgaugeError as error:
        sys.modules.pop(name, None)
        cause = error.__cause__ if isinstance(error, PluginFault) and error.__cause__ else error
        line = _line_in(path, cause)
        reason = f"this is not Python: {cause.msg}" if isinstance(cause, SyntaxError) else in_words(cause)
        raise UsageError(f"{path}{f', line {line}' if line else ''}: {reason}") from error
    return module


def declared_in(module: ModuleType) -> list[Any]:
    """The plug-ins that a file declares itself, which are classes and functions; none that it imports."""
    return [
        value for value in vars(module).values()
        if isinstance(value, (type, FunctionType)) and value.__module__ == module.__name__ and hasattr(value, "flowgauge_kind")
    ]  # fmt: skip


def plugin_name(plugin: Any) -> str:
    """What a class or function was declared as."""
    return str(getattr(plugin, "name", plugin.__name__))


def _line_in(path: Path, error: BaseException) -> int | None:
    """The innermost line of a file that an error passed through."""
    if isinstance(error, SyntaxError) and error.filename == str(path.absolute()):
        return error.lineno
    line, trace = None, error.__traceback__
    while trace is not None:
        if Path(trace.tb_frame.f_code.co_filename).resolve() == path.resolve():
            line = trace.tb_lineno
        trace = trace.tb_next
    return line


def _typed(owner: str, factory: Callable[..., Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The given settings, each of the type that its annotation names; a whole number may stand where a fraction may.

    Settings whose annotation is no plain type and no `Literal` pass unchecked: their plug-in checks them.
    """
    from pydantic import ConfigDict, TypeAdapter, ValidationError

    factory = factory.func if isinstance(factory, partial) else factory
    kind = getattr(factory, "function", factory)
    try:
        hints = get_type_hints(kind.__init__ if inspect.isclass(kind) and not is_dataclass(kind) else kind)
    except (NameError, TypeError, AttributeError):  # annotations that only a type checker can read
        hints = {}
    typed = dict(given)
    for name, value in given.items():
        hint, optional = _without_none(hints.get(name, Any))
        if (optional and value is None) or (hint not in TYPE_NAMES and get_origin(hint) is not Literal):
            continue
        try:
            typed[name] = TypeAdapter(hint, config=ConfigDict(strict=True, allow_inf_nan=False)).validate_python(value)
        except ValidationError:
            allowed = " or ".join(str(choice) for choice in get_args(hint)) or TYPE_NAMES[hint]
            raise UsageError(f"{owner}: {name} must be {allowed}, got {value!r}.") from None
    return typed


def _without_none(hint: Any) -> tuple[Any, bool]:
    """A type and whether None may stand for it: `int | None` is (int, True)."""
    types = [member for member in get_args(hint) if member is not type(None)]
    optional = get_origin(hint) in (Union, UnionType) and len(types) == 1
    return (types[0], True) if optional else (hint, False)


def parameters(factory: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The settings that a plug-in's factory takes, by name."""
    return {k: p for k, p in inspect.signature(factory).parameters.items() if p.kind is not p.VAR_KEYWORD and k != "self"}


def settings(plugin: object) -> dict[str, Any]:
    """Every setting of a plug-in with its value: what the constructor takes, read back from attributes of the same names.

    Plug-ins that a decorator built from a function keep theirs in `options`.

    Raises:
        UsageError: A setting that the plug-in does not keep.
    """
    options = getattr(plugin, "options", None)
    if isinstance(options, Mapping):
        return dict(options)
    unset = [name for name in parameters(type(plugin)) if not hasattr(plugin, name)]
    if unset:
        raise UsageError(
            f"{type(plugin).__name__} takes the setting {unset[0]!r} and does not keep it: set self.{unset[0]} in it."
        )
    return {name: getattr(plugin, name) for name in parameters(type(plugin))}
