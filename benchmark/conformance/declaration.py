"""What methods and metrics have in common: a declaration, and settings that can be read back."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ...core.registry import Registry, Spec, parameters, settings
from .finding import BrokenPromise, require


@dataclass(frozen=True, eq=False)
class PluginUnderTest:
    """A plug-in and how to make it again.

    Attributes:
        plugin: The object.
        factory: Builds one from its settings.
    """

    plugin: Any
    factory: Callable[..., Any]


def make(registry: Registry, plugin: Any, verb: str) -> PluginUnderTest:
    """A plug-in from a name with settings, a class, a decorated function, or an object that has the method `verb` already.

    Raises:
        UsageError: No such name or setting.
    """
    if isinstance(plugin, str | Mapping | Spec):
        spec = plugin if isinstance(plugin, Spec) else Spec.parse(plugin)
        return PluginUnderTest(registry.create(spec), registry.factory(spec.name))
    if inspect.isclass(plugin) or not hasattr(plugin, verb):
        return PluginUnderTest(plugin(), plugin)
    if isinstance(getattr(plugin, "options", None), Mapping):  # a function that a decorator wrapped
        return PluginUnderTest(plugin, lambda **options: type(plugin)(plugin.function, options))
    return PluginUnderTest(plugin, type(plugin))


def settings_read_back(made: PluginUnderTest) -> None:
    """The settings make an equal plug-in, defaults are stored as they are, and nothing else is stored."""
    found = settings(made.plugin)
    again = settings(made.factory(**found))
    require(again == found, f"made again from its settings {found}, it has the settings {again}.")
    fresh = settings(made.factory())
    for name, parameter in parameters(made.factory).items():
        if parameter.default is not inspect.Parameter.empty and name in fresh:
            require(
                fresh[name] == parameter.default,
                f"the setting {name!r} is {parameter.default!r} but was stored as {fresh[name]!r}.",
            )
    extra = sorted(set(getattr(made.plugin, "__dict__", {})) - set(found) - {"function", "options"})
    require(not extra, f"the constructor stores {', '.join(extra)}, which are no settings: compute when asked, not before.")


def declared(plugin: Any, **wanted: Callable[[Any], bool]) -> None:
    """The plug-in has every attribute, and each passes its test."""
    for name, fits in wanted.items():
        if not hasattr(plugin, name):
            raise BrokenPromise(f"it has no {name!r}: decorate it, or set the attribute.")
        value = getattr(plugin, name)
        require(fits(value), f"{name} is {value!r}, which is not allowed.")


def described(made: PluginUnderTest) -> str | None:
    """It has a docstring, whose first line is what `flowgauge list` shows."""
    text = inspect.getdoc(made.plugin) or ""
    require(bool(text.strip()), "it has no docstring; its first line is what `flowgauge list` shows.")
    return None
