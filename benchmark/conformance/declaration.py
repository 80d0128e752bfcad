"""Promises of methods and metrics alike: a complete declaration, a docstring, and settings that can be read back."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ...core.registry import Registry, Spec, parameters, settings
from .finding import BrokenPromise, require


@dataclass(frozen=True, eq=False)
class PluginUnderTest:
    """A plug-in and how to build it again.

    Attributes:
        plugin: The plug-in.
        factory: Builds a plug-in from settings.
    """

    plugin: Any
    factory: Callable[..., Any]


def under_test(registry: Registry, plugin: Any, verb: str) -> PluginUnderTest:
    """A plug-in and how to build it again.

    Args:
        registry: Where names are looked up.
        plugin: A name with settings, a class, a decorated function, or a plug-in.
        verb: The method that plug-ins of this kind have, such as `explain`.

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


def require_settings(tested: PluginUnderTest) -> None:
    """Checks that a plug-in's settings build an equal one, that defaults are stored unchanged, and that nothing else is stored.

    Raises:
        BrokenPromise: With the setting.
    """
    for name, parameter in parameters(tested.factory).items():
        require(parameter.default is not parameter.empty, f"the setting {name!r} has no default: give it one.")
    stored = settings(tested.plugin)
    rebuilt = settings(tested.factory(**stored))
    require(rebuilt == stored, f"built again from its settings {stored}, it has the settings {rebuilt}.")
    default = settings(tested.factory())
    for name, parameter in parameters(tested.factory).items():
        if parameter.default is not inspect.Parameter.empty and name in default:
            require(
                default[name] == parameter.default,
                f"the setting {name!r} is {parameter.default!r} but was stored as {default[name]!r}.",
            )
    own = {"function", "options", "flowgauge_given"}  # what flowgauge itself stores
    extra = sorted(set(getattr(tested.plugin, "__dict__", {})) - set(stored) - own)
    require(
        not extra,
        f"the constructor stores {', '.join(extra)}, which are no settings: compute them when the plug-in is called, not before.",
    )


def require_declared(plugin: Any, **allowed: Callable[[Any], bool]) -> None:
    """Checks that a plug-in has every attribute, each with a value that is allowed.

    Args:
        plugin: The plug-in.
        allowed: Whether a value of the attribute of this name is allowed.

    Raises:
        BrokenPromise: With the attribute.
    """
    for name, is_allowed in allowed.items():
        if not hasattr(plugin, name):
            raise BrokenPromise(f"it has no {name!r}: decorate it, or set the attribute.")
        value = getattr(plugin, name)
        require(is_allowed(value), f"{name} is {value!r}, which is not allowed.")


def require_described(tested: PluginUnderTest) -> None:
    """Checks that a plug-in has a docstring, whose first line is what `flowgauge list` shows.

    Raises:
        BrokenPromise: It has none.
    """
    text = inspect.getdoc(tested.plugin) or ""
    require(bool(text.strip()), "it has no docstring; its first line is what `flowgauge list` shows.")
