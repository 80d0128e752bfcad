"""The factory behind `@method`, `@metric`, `@task` and `@model`: a class or a function becomes a plug-in with settings."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any


class FunctionPlugin:
    """A plain function as a plug-in.

    Each kind of plug-in has a subclass whose one method calls the function.

    Attributes:
        function: The user's function.
        options: Its settings: every argument after those that flowgauge fills in, by name.
    """

    def __init__(self, function: Callable[..., Any], options: Mapping[str, Any]) -> None:
        self.function, self.options = function, dict(options)


def decorator(
    kind: str, metadata: Mapping[str, Any], wrapper: type[FunctionPlugin] | None = None, leading: int = 0
) -> Callable[[Any], Any]:
    """A decorator that turns a class or a function into a plug-in of one kind.

    A class is returned itself with the metadata as class attributes; where it has a property of the same name, because the value
    depends on a setting, the property stays. A function is returned as a factory: it takes the function's settings by keyword and
    builds a plug-in whose class derives from `wrapper`.

    Args:
        kind: `method`, `metric`, `task` or `model`, kept as `flowgauge_kind`.
        metadata: What the plug-in declares, by attribute name.
        wrapper: The class of plug-ins from functions; None where only classes can be decorated.
        leading: How many arguments of a function come first and are no settings.

    >>> class Doubling(FunctionPlugin):
    ...     def run(self, x): return self.function(x, **self.options)
    >>> @decorator("example", {"name": "times"}, Doubling, leading=1)
    ... def times(x, factor=2): return x * factor
    >>> times.name, times().run(4), times(factor=3).run(4)
    ('times', 8, 12)
    """
    attributes = {**metadata, "flowgauge_kind": kind}

    def decorate(target: Any) -> Any:
        plugin = target if wrapper is None or inspect.isclass(target) else _settings_factory(target, attributes, wrapper, leading)
        for name, value in attributes.items():
            if not isinstance(getattr(plugin, name, None), property):
                setattr(plugin, name, value)
        return plugin

    return decorate


def _settings_factory(
    function: Callable[..., Any], attributes: Mapping[str, Any], wrapper: type[FunctionPlugin], leading: int
) -> Callable[..., FunctionPlugin]:
    settings = list(inspect.signature(function).parameters.values())[leading:]
    namespace = {**attributes, "__doc__": function.__doc__, "__module__": function.__module__}
    plugin_class = type(function.__name__, (wrapper,), namespace)

    def factory(**given: Any) -> FunctionPlugin:
        plugin: FunctionPlugin = plugin_class(function, {p.name: given.get(p.name, p.default) for p in settings})
        return plugin

    factory.__signature__ = inspect.Signature([p.replace(kind=p.KEYWORD_ONLY) for p in settings])  # type: ignore[attr-defined]
    factory.__doc__, factory.__module__, factory.__name__ = function.__doc__, function.__module__, function.__name__
    return factory
